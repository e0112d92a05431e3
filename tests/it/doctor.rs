//! `lipcert doctor`.

use lipcert_models::training::job::{Doctor, Event, Job};

use crate::trainer::{Bench, say};

#[test]
fn without_libtorch_it_says_how_to_get_it() {
    let bench = Bench::without_trainer();
    let ran = bench.run(&["doctor", "--json", "--threads", "2"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let json = ran.json();
    assert_eq!((&json["schema"], &json["threads"]), (&"lipcert/doctor/1".into(), &2.into()));
    assert_eq!(
        (&json["trainer"]["state"], &json["trainer"]["install"]),
        (&"missing".into(), &"make libtorch".into())
    );
    let ran = bench.run(&["doctor"]);
    assert!(ran.status == Some(0) && ran.stdout.contains("make libtorch"), "{ran:?}");
    assert!(ran.first_line().ends_with("does not train"), "{ran:?}");
}

#[test]
fn it_repeats_what_the_program_says() {
    let doctor = Doctor {
        libtorch: "2.11.0".to_owned(),
        threads: 3,
        cuda_devices: 2,
        cuda_error: None,
        cudnn: true,
    };
    let bench = Bench::new(&say(&[Event::Doctor(doctor.clone())]));
    let json = bench.run(&["doctor", "--json"]).json();
    assert_eq!(
        (&json["trainer"]["state"], &json["trainer"]["libtorch"]),
        (&"ready".into(), &"2.11.0".into())
    );
    assert_eq!(
        (&json["trainer"]["cuda_devices"], &json["trainer"]["cudnn"]),
        (&2.into(), &true.into())
    );
    assert_eq!(bench.job(), Job::Doctor);
    assert!(bench.run(&["doctor"]).stdout.contains("2 devices, with cuDNN"));
    let alone = Doctor {
        cuda_devices: 0,
        cuda_error: Some("libtorch_cuda.so: no such file".to_owned()),
        ..doctor
    };
    let ran = Bench::new(&say(&[Event::Doctor(alone)])).run(&["doctor"]);
    assert!(ran.stdout.contains("none: libtorch_cuda.so: no such file"), "{ran:?}");
}

#[test]
fn a_broken_program_is_no_fault_of_this_one() {
    let ran = Bench::new("echo 'libtorch_cpu.so: cannot open' >&2; exit 127").run(&["doctor"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(
        ran.stdout.contains("libtorch_cpu.so: cannot open") && ran.stdout.contains("make libtorch"),
        "{ran:?}"
    );
}
