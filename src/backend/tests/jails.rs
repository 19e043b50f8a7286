//! Real guests without a VM: the harness in namespaces.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod machines;

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use aegis_backend::{Backend, Guest, Machine, MachineSpec, RootFs, namespaces::Namespaces};
use aegis_harness::message::Command;

use machines::{LIMIT, Place, assets, open, run};

async fn start(place: &Place, id: &str, change: impl FnOnce(&mut MachineSpec)) -> (Guest, Box<dyn Machine>) {
    let backend = Namespaces::new(assets().join("aegis-harness"));
    let mut spec = place.spec(id, false);
    spec.rootfs = RootFs::Directory(place.directory.path().join("tree"));
    change(&mut spec);
    let started = backend.start(&spec).await.unwrap();
    open(started, &spec).await
}

fn sh(script: &str) -> Command {
    Command {
        argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: BTreeMap::from([("PATH".to_owned(), "/bin:/usr/bin".to_owned())]),
        ..Command::default()
    }
}

#[tokio::test]
async fn a_jail_starts_pauses_and_ends() {
    let place = Place::new();
    let began = Instant::now();
    let (guest, machine) = start(&place, "jail", |_| {}).await;
    println!("to ready: {:?}", began.elapsed());
    let text = run(
        &guest,
        "cat /proc/sys/kernel/hostname; echo $$; id -u; touch /nothing 2>/dev/null || echo read-only",
    )
    .await;
    println!("to the end of the first command: {:?}", began.elapsed());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[2], lines[3]), ("jail", "0", "read-only"), "{text}");
    assert!(lines[1].parse::<u32>().unwrap() < 100, "process ids begin anew: {text}");
    machine.pause().await.unwrap();
    let silent = tokio::time::timeout(Duration::from_millis(300), guest.health()).await;
    assert!(silent.is_err(), "a paused guest answers nothing");
    machine.resume().await.unwrap();
    guest.health().await.unwrap();
    guest.shutdown().unwrap();
    let exit = tokio::time::timeout(LIMIT, machine.wait()).await.unwrap();
    assert!(exit.clean, "{exit:?} {}", machine.console());
}

#[tokio::test]
async fn a_paused_jail_can_be_killed_and_leaves_no_group() {
    let place = Place::new();
    let id = format!("gone-{}", std::process::id());
    let (_guest, machine) = start(&place, &id, |_| {}).await;
    machine.pause().await.unwrap();
    tokio::time::timeout(LIMIT, machine.kill()).await.unwrap().unwrap();
    drop(machine);
    let until = Instant::now() + LIMIT;
    let groups = || {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let places: Vec<_> = mounts
            .lines()
            .filter(|line| line.contains(" - cgroup"))
            .map(|line| line.split(' ').nth(4).unwrap().to_owned())
            .collect();
        places.iter().any(|place| fs::metadata(format!("{place}/aegis-{id}")).is_ok())
    };
    while groups() {
        assert!(Instant::now() < until, "a control group stays");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_would_reach_the_host_is_refused() {
    let place = Place::new();
    let (guest, _machine) = start(&place, "walls", |_| {}).await;
    for script in [
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /",
        "unshare -r true",
        "chroot / true",
        "dmesg",
        "date -s 2000-01-01; test $(date +%Y) -lt 2010",
        "hostname other && sysctl -w kernel.panic=1",
        "echo 1 > /proc/sys/kernel/panic",
        "mknod /tmp/disk b 8 0",
        "cat /dev/kmsg",
        "ls /sys/fs/cgroup/memory/tasks && echo 1 > /sys/fs/cgroup/memory/tasks",
    ] {
        let process = guest.exec(sh(script)).await.unwrap();
        assert_ne!(process.exit.await.unwrap().code, 0, "{script}");
    }
}

#[tokio::test]
async fn memory_and_processes_are_limited() {
    if !Namespaces::unenforced().is_empty() {
        println!("this host can't limit {:?}", Namespaces::unenforced());
        return;
    }
    let place = Place::new();
    let (guest, _machine) = start(&place, "limits", |spec| {
        spec.memory_mib = 64;
        spec.pids_max = Some(20);
    })
    .await;
    // A variable that doubles until nothing is left.
    let process = guest.exec(sh("x=0123456789abcdef; while true; do x=$x$x; done")).await.unwrap();
    let exit = tokio::time::timeout(LIMIT, process.exit).await.unwrap().unwrap();
    assert!(exit.out_of_memory && exit.code == 137, "{exit:?}");
    // The guest goes on, and so does another process.
    assert_eq!(run(&guest, "echo here").await, "here\n");
    let process = guest.exec(sh("i=0; while [ $i -lt 60 ]; do sleep 30 & i=$((i+1)); done")).await.unwrap();
    let exit = tokio::time::timeout(LIMIT, process.exit).await.unwrap().unwrap();
    assert_ne!(exit.code, 0, "60 processes where 20 are allowed");
}
