//! Real machines: Debian's kernel and the real harness, in QEMU.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod machines;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use aegis_backend::{
    Backend,
    qemu::{Accelerator, Qemu, Settings},
};

use machines::{LIMIT, Place, assets, open, pss, run};

fn qemu_in(place: &Place) -> Qemu {
    Qemu::new(Settings {
        program: "/usr/bin/qemu-system-x86_64".into(),
        accelerator: Accelerator::Tcg,
        assets: assets(),
        data: place.directory.path().join("data"),
    })
}

#[tokio::test]
async fn a_machine_boots_pauses_and_powers_off() {
    let place = Place::new();
    let qemu = qemu_in(&place);
    let spec = place.spec("cold", false);
    let began = Instant::now();
    let started = qemu.start(&spec).await.unwrap();
    assert!(!started.is_clone);
    let (guest, machine) = open(started, &spec).await;
    println!("cold, to ready: {:?}", began.elapsed());
    assert_eq!(
        run(&guest, "cat /proc/sys/kernel/hostname; uname -r; id -u").await.lines().next(),
        Some("cold")
    );
    println!("cold, to the end of the first command: {:?}", began.elapsed());
    let paused = Instant::now();
    machine.pause().await.unwrap();
    println!("pause: {:?}", paused.elapsed());
    let silent = tokio::time::timeout(Duration::from_millis(300), guest.health()).await;
    assert!(silent.is_err(), "a paused guest answers nothing");
    let resumed = Instant::now();
    machine.resume().await.unwrap();
    guest.health().await.unwrap();
    println!("resume, to an answer: {:?}", resumed.elapsed());
    guest.shutdown().unwrap();
    let exit = tokio::time::timeout(LIMIT, machine.wait()).await.unwrap();
    assert!(exit.clean, "{exit:?} {}", machine.console());
}

#[tokio::test]
async fn clones_of_one_template_are_machines_of_their_own() {
    let place = Place::new();
    let qemu = qemu_in(&place);
    qemu.prepare(256, 1, false).await.unwrap();
    let mut clones = Vec::new();
    for number in 0..3 {
        let spec = place.spec(&format!("clone{number}"), true);
        let began = Instant::now();
        let started = qemu.start(&spec).await.unwrap();
        println!("clone, to running: {:?}", began.elapsed());
        assert!(started.is_clone);
        let (guest, machine) = open(started, &spec).await;
        println!("clone, to ready: {:?}, {} MiB", began.elapsed(), pss(machine.pid()));
        let text = run(&guest, "cat /proc/sys/kernel/hostname /proc/sys/kernel/random/uuid; date +%s").await;
        println!("clone, to the end of the first command: {:?}", began.elapsed());
        clones.push((guest, machine, text));
    }
    let names: Vec<_> = clones.iter().map(|(_, _, text)| text.lines().next().unwrap().to_owned()).collect();
    assert_eq!(names, ["clone0", "clone1", "clone2"]);
    let random: std::collections::BTreeSet<_> =
        clones.iter().map(|(_, _, text)| text.lines().nth(1)).collect();
    assert_eq!(random.len(), 3, "clones share no randomness");
    for (_, machine, text) in &clones {
        let time: u64 = text.lines().nth(2).unwrap().parse().unwrap();
        assert!((1_700_000_000..1_700_000_100).contains(&time), "the clock is the one of the setup: {time}");
        println!("pss: {} MiB", pss(machine.pid()));
    }
    let (guest, machine, _) = clones.pop().unwrap();
    guest.shutdown().unwrap();
    let exit = tokio::time::timeout(LIMIT, machine.wait()).await.unwrap();
    assert!(exit.clean, "{exit:?} {}", machine.console());
    machine.kill().await.unwrap();

    // A second daemon finds the template on disk; one that is damaged is not used and goes.
    let again = qemu_in(&place);
    let spec = place.spec("again", true);
    assert!(again.start(&spec).await.unwrap().is_clone);
    let templates: Vec<PathBuf> = std::fs::read_dir(place.directory.path().join("data/templates"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    assert_eq!(templates.len(), 1);
    std::fs::write(templates[0].join("state"), b"damaged").unwrap();
    let third = qemu_in(&place);
    let spec = place.spec("third", true);
    let started = third.start(&spec).await.unwrap();
    assert!(!started.is_clone, "a damaged template is not used");
    open(started, &spec).await;
}

#[tokio::test]
async fn a_workspace_keeps_what_is_written_from_boot_to_clone() {
    let place = Place::new();
    let qemu = qemu_in(&place);
    let path = place.workspace();
    let mut cold = place.spec("writes", false);
    cold.workspace = Some(path.clone());
    let started = qemu.start(&cold).await.unwrap();
    let (guest, machine) = open(started, &cold).await;
    run(&guest, "echo kept > /workspace/file; touch /nothing 2>/dev/null && exit 1; true").await;
    guest.shutdown().unwrap();
    assert!(tokio::time::timeout(LIMIT, machine.wait()).await.unwrap().clean);
    qemu.prepare(256, 1, true).await.unwrap();
    let mut warm = place.spec("reads", true);
    warm.workspace = Some(path);
    let started = qemu.start(&warm).await.unwrap();
    assert!(started.is_clone);
    let (guest, _machine) = open(started, &warm).await;
    assert_eq!(run(&guest, "cat /workspace/file").await, "kept\n");
}

#[tokio::test]
async fn two_cpus_are_two_cpus_and_a_crash_is_told() {
    let place = Place::new();
    let qemu = qemu_in(&place);
    let mut spec = place.spec("two", false);
    spec.cpus = 2;
    let (guest, machine) = open(qemu.start(&spec).await.unwrap(), &spec).await;
    assert_eq!(run(&guest, "grep -c ^processor /proc/cpuinfo").await, "2\n");
    machine.kill().await.unwrap();
    let exit = tokio::time::timeout(LIMIT, machine.wait()).await.unwrap();
    assert_eq!((exit.clean, exit.reason.as_str()), (false, "it was killed"));
    assert!(guest.exec(aegis_harness::message::Command::default()).await.is_err());
    // A kernel without a root of its own panics, and its last words are kept.
    let broken = place.directory.path().join("broken");
    std::fs::create_dir_all(&broken).unwrap();
    std::os::unix::fs::symlink(assets().join("kernel"), broken.join("kernel")).unwrap();
    std::fs::write(broken.join("aegis-harness"), b"no program").unwrap();
    let qemu = Qemu::new(Settings {
        program: "/usr/bin/qemu-system-x86_64".into(),
        accelerator: Accelerator::Tcg,
        assets: broken,
        data: place.directory.path().join("broken-data"),
    });
    let started = qemu.start(&place.spec("broken", false)).await.unwrap();
    let exit = tokio::time::timeout(LIMIT, started.machine.wait()).await.unwrap();
    assert!(!exit.clean && exit.reason.contains("Kernel panic"), "{exit:?}");
}

#[tokio::test]
async fn ten_clones_at_once_all_come_up() {
    let place = Place::new();
    let qemu = qemu_in(&place);
    qemu.prepare(256, 1, false).await.unwrap();
    let began = Instant::now();
    let starting = (0..10).map(|number| {
        let spec = place.spec(&format!("many{number}"), true);
        let qemu = &qemu;
        async move {
            let started = qemu.start(&spec).await.unwrap();
            assert!(started.is_clone);
            let (guest, machine) = open(started, &spec).await;
            assert_eq!(run(&guest, "cat /proc/sys/kernel/hostname").await.trim(), spec.id);
            (guest, machine)
        }
    });
    let machines = futures::future::join_all(starting).await;
    println!("ten at once, to the end of the first command of the last: {:?}", began.elapsed());
    let shares: Vec<u64> = machines.iter().map(|(_, machine)| pss(machine.pid())).collect();
    println!("pss: {shares:?} MiB");
}
