//! The program that trains: a job on standard input, events on standard output.
//!
//! The job is the first line. When the input ends, the program saves what it has and stops.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lipcert_models::training::job::{Event, Job};
use lipcert_train::{TrainError, attack, device, train};

fn main() -> ExitCode {
    ignore_termination();
    // before any other call of libtorch
    let _ = device::open();
    let stopped = Arc::new(AtomicBool::new(false));
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(0) => return fail("there is no job on standard input"),
        Ok(_) => {}
        Err(error) => return fail(&format!("standard input: {error}")),
    }
    let job: Job = match serde_json::from_str(&line) {
        Ok(job) => job,
        Err(error) => return fail(&format!("the job is malformed: {error}")),
    };
    let watched = Arc::clone(&stopped);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        watched.store(true, Ordering::Relaxed);
    });
    let stop = || stopped.load(Ordering::Relaxed);
    // whoever reads the events may be gone
    let mut report = |event: Event| {
        if !write(&event) {
            stopped.store(true, Ordering::Relaxed);
        }
    };
    // libtorch panics through its wrapper where memory is exhausted; the words are on standard error by then
    let outcome = catch_unwind(AssertUnwindSafe(|| match &job {
        Job::Doctor => Ok(Event::Doctor(device::doctor())),
        Job::Train(task) => train::run(task, &mut report, &stop),
        Job::Attack(task) => attack::run(task, &mut report, &stop).map(|file| Event::Finished {
            file,
            sha256: None,
            stopped: stop(),
            best: None,
        }),
    }));
    match outcome {
        Ok(Ok(event)) => {
            write(&event);
            ExitCode::SUCCESS
        }
        Ok(Err(error @ TrainError::Alone)) => {
            fail(&error.to_string());
            leave()
        }
        Ok(Err(error)) => fail(&error.to_string()),
        Err(_) => fail("libtorch gave up; its words stand on standard error"),
    }
}

/// Batch systems send SIGTERM to all processes of a job. The one that started this one closes the input then, and this one saves.
#[expect(unsafe_code, reason = "a signal is switched off")]
fn ignore_termination() {
    // SAFETY: no handler is installed, the signal is passed over.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}

/// Ends at once, where a thread still waits within libtorch and must not see it taken down.
#[expect(unsafe_code, reason = "an end without the destructors of libtorch")]
fn leave() -> ! {
    // SAFETY: nothing is left to be written; the line that says why is flushed.
    unsafe { libc::_exit(2) }
}

/// Says why there is no result.
fn fail(message: &str) -> ExitCode {
    write(&Event::Failed {
        message: message.to_owned(),
    });
    ExitCode::from(2)
}

/// Writes an event as a line; says whether anybody reads it.
fn write(event: &Event) -> bool {
    let mut line = serde_json::to_string(event).expect("numbers and texts");
    line.push('\n');
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_ok()
}
