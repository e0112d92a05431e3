//! The terminal: the only file that writes to it.
//!
//! Results go to standard output; progress, warnings, errors and hints to standard error. Nothing here is coloured.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lipcert::jobs::Progress;
use lipcert::text::printable;
use serde::Serialize;
use signal_hook::consts::SIGTERM;
use signal_hook::flag;

use crate::cli::GlobalArgs;
use crate::status::Status;

/// Where a command says what it has to say.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    verbose: bool,
    bar: ProgressBar,
    /// Set by an interrupt, see [`Output::stop_on_interrupt`].
    stop: Arc<AtomicBool>,
}

impl Output {
    /// The terminal, as loud as asked for.
    pub(crate) fn new(global: &GlobalArgs) -> Self {
        let watched = !(global.quiet || global.json || global.verbose);
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            stop: Arc::default(),
            bar: ProgressBar::with_draw_target(
                None,
                if watched {
                    ProgressDrawTarget::stderr()
                } else {
                    ProgressDrawTarget::hidden()
                },
            ),
        }
    }

    /// From now on the first interrupt (Ctrl-C) asks the job to end with the best that it has; the second ends the program.
    ///
    /// # Errors
    ///
    /// If the system refuses the handler.
    pub(crate) fn stop_on_interrupt(&self) -> anyhow::Result<()> {
        let (stop, bar, quiet) = (Arc::clone(&self.stop), self.bar.clone(), self.quiet);
        ctrlc::set_handler(move || {
            if stop.swap(true, Ordering::Relaxed) {
                // The second interrupt: nothing is to be kept.
                std::process::exit(130);
            }
            if !quiet {
                bar.suspend(|| {
                    let _ = io::stderr()
                        .lock()
                        .write_all(b"stopping with the best so far; once more to quit\n");
                });
            }
        })
        .context("cannot listen for interrupts")
    }

    /// The same for SIGTERM, which batch systems send before they kill.
    ///
    /// # Errors
    ///
    /// If the system refuses the handler.
    pub(crate) fn stop_on_termination(&self) -> anyhow::Result<()> {
        flag::register_conditional_shutdown(SIGTERM, 128 + SIGTERM, Arc::clone(&self.stop))
            .and_then(|_| flag::register(SIGTERM, Arc::clone(&self.stop)))
            .map(drop)
            .context("cannot listen for SIGTERM")
    }

    /// Prints the result of the command: one JSON object, or its text.
    ///
    /// # Errors
    ///
    /// If it cannot be written. A reader that went away is no error.
    pub(crate) fn result(&self, value: &(impl Serialize + Display)) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        let mut text = if self.json {
            serde_json::to_string_pretty(value)?
        } else {
            value.to_string()
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written.context("cannot write to standard output"),
        }
    }

    /// Something that a reader of the result should know.
    pub(crate) fn warning(&self, message: impl Display) {
        if !self.quiet {
            self.say("warning: ", &message);
        }
    }

    /// What to do next.
    pub(crate) fn hint(&self, message: impl Display) {
        if !self.quiet {
            self.say("hint: ", &message);
        }
    }

    /// What is being done, for `--verbose`.
    pub(crate) fn detail(&self, message: impl Display) {
        if self.verbose {
            self.say("", &message);
        }
    }

    /// Why there is no result. Also under `--quiet`.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        self.say("error: ", &format_args!("{error:#}"));
    }

    /// One line on standard error, above the progress bar. A terminal that went away is no error.
    fn say(&self, prefix: &str, message: &dyn Display) {
        let line = format!("{prefix}{}\n", printable(&message.to_string()));
        self.bar.suspend(|| {
            let _ = io::stderr().lock().write_all(line.as_bytes());
        });
    }
}

impl Progress for Output {
    fn begin(&self, task: &str, steps: usize) {
        self.detail(format_args!("{task}: {steps} steps"));
        let template = if steps == 0 {
            "{spinner} {msg} {elapsed}"
        } else {
            "{msg} {bar:40} {pos}/{len} {eta}"
        };
        let style = ProgressStyle::with_template(template);
        self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.reset();
        self.bar.set_length(steps as u64);
        self.bar.set_message(printable(task));
    }

    fn advance(&self, steps: usize) {
        self.bar.inc(steps as u64);
    }

    fn interval(&self, approx_dual: f64, approx_primal: f64) {
        let words = format!("optimum between about {approx_dual:.6e} and {approx_primal:.6e}");
        self.detail(&words);
        self.bar.set_message(words);
        self.bar.tick();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn note(&self, words: &str) {
        self.bar.set_message(printable(words));
    }

    fn remark(&self, words: &str) {
        // where there is no bar, this is all that is seen
        if self.verbose || (!self.quiet && self.bar.is_hidden()) {
            self.say("", &words);
        }
    }

    fn warn(&self, words: &str) {
        self.warning(words);
    }
}

/// Prints what the parser of the command line has to say: help and version are results, all else is bad usage.
pub(crate) fn usage(error: &clap::Error) -> Status {
    let printed = error.print();
    match printed {
        Err(failure) if failure.kind() != ErrorKind::BrokenPipe => Status::Fault,
        _ if error.use_stderr() => Status::Fault,
        _ => Status::Proved,
    }
}
