//! What a guest finds when it begins.

use aegis_tests::{
    eventually,
    runtime::BOOTS,
    runtime::image::{Image, Layer},
};
use serde_json::json;

use crate::stage::{App, Guest, HTTPD, Stage};

crate::scenarios! {
    a_guest_is_laid_out_as_promised,
    only_what_shall_be_written_can_be_written,
    a_guest_has_its_own_name_clock_and_randomness,
    orphans_are_reaped,
    an_image_without_a_shell_and_without_folders_runs,
    what_the_image_has_in_var_is_there_and_can_be_written,
    a_workspace_survives_a_restart_and_a_new_instance,
    a_named_workspace_is_shared_by_tasks_one_after_the_other,
}

fn a_guest_is_laid_out_as_promised(stage: &Stage) {
    let line = "cat /proc/1/comm; pwd; echo $HOME; echo ${TERM:+term}; \
        for at in /proc /sys /dev /dev/pts /dev/shm /tmp /run /var /workspace; do \
          grep -q \" $at \" /proc/mounts && echo $at; done; \
        ip link show lo | grep -q LOWER_UP && echo lo; \
        grep -c localhost /etc/hosts; test -s /etc/resolv.conf && echo resolv; ls -di /dev/null >/dev/null && echo null";
    let said = stage.runtime.shell("", line).ok();
    let lines: Vec<&str> = said.stdout.lines().collect();
    // A kernel calls its first process by the name in its root, which is `/init`.
    assert!(["aegis-harness", "init"].contains(&lines[0]), "{said:#?}");
    assert_eq!(lines[1], "/workspace", "{said:#?}");
    for at in [
        "/proc",
        "/sys",
        "/dev",
        "/dev/pts",
        "/dev/shm",
        "/tmp",
        "/run",
        "/var",
        "/workspace",
        "lo",
        "resolv",
        "null",
    ] {
        assert!(lines.contains(&at), "{at}: {said:#?}");
    }
}

fn only_what_shall_be_written_can_be_written(stage: &Stage) {
    let line = "for at in / /etc /bin /usr /srv; do touch $at/new 2>/dev/null && echo \"$at was written\"; done; \
        for at in /workspace /tmp /run /var /var/lib /dev/shm; do touch $at/new || echo \"$at was not\"; done; echo end";
    assert_eq!(stage.runtime.shell("", line).ok().stdout, "end\n");
}

fn a_guest_has_its_own_name_clock_and_randomness(stage: &Stage) {
    let runtime = &stage.runtime;
    let line = "hostname; date +%s; head -c 16 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/uuid";
    let (one, two) = (Guest::start(runtime, &["sleep", "100000"], json!({})), runtime.shell("", line).ok());
    let one_says = one.says(line);
    let (one_says, two_says) = (one_says.lines().collect::<Vec<_>>(), two.stdout.lines().collect::<Vec<_>>());
    assert_eq!(one_says[0], one.id);
    for part in [0, 2, 3] {
        assert_ne!(one_says[part], two_says[part], "both guests have the same");
    }
    let now = aegis_tests::unix_seconds();
    for says in [&one_says, &two_says] {
        let clock: u64 = says[1].parse().unwrap();
        assert!(clock.abs_diff(now) < 120, "the guest's clock says {clock}, ours {now}");
    }
}

fn orphans_are_reaped(stage: &Stage) {
    let guest = Guest::start(&stage.runtime, &["sleep", "100000"], json!({}));
    guest.says("for i in 1 2 3 4 5; do (sleep 0.1 & ) ; done");
    eventually("no zombie is left", BOOTS, || {
        (guest.says("ps -o stat | grep -c ^Z || true") == "0").then_some(())
    });
}

fn an_image_without_a_shell_and_without_folders_runs(stage: &Stage) {
    // Only a program: no /bin/sh, no /etc, no /tmp, no /workspace.
    let cache = aegis_tests::runtime::guest_cache();
    let busybox = std::fs::read(cache.join("busybox/bin/busybox"))
        .or_else(|_| std::fs::read(cache.join("busybox/usr/bin/busybox")))
        .expect("make guest");
    let image = Image::new().layer(&Layer::new().folder("app").file("app/echo", 0o755, busybox));
    let reference = stage.registry.push("test/bare:1", &image);
    let said = stage.runtime.run(&format!("run --image {reference} -- /app/echo alone")).ok();
    assert_eq!(said.stdout, "alone\n");
    stage.runtime.run(&format!("run --image {reference} -- sh")).exit(127);
}

fn what_the_image_has_in_var_is_there_and_can_be_written(stage: &Stage) {
    let layer = Layer::new().folder("var").folder("var/lib").folder("var/lib/app").file(
        "var/lib/app/data",
        0o644,
        "kept\n",
    );
    let reference = stage.registry.push("test/var:1", &Image::base().layer(&layer));
    let line = "cat /var/lib/app/data; echo more >>/var/lib/app/data && cat /var/lib/app/data";
    let said = stage.runtime.shell(&format!("--image {reference}"), line).ok();
    assert_eq!(said.stdout, "kept\nkept\nmore\n");
    // Nothing of it is in the next guest of the same image.
    let said = stage.runtime.shell(&format!("--image {reference}"), "cat /var/lib/app/data").ok();
    assert_eq!(said.stdout, "kept\n");
}

fn a_workspace_survives_a_restart_and_a_new_instance(stage: &Stage) {
    let runtime = &stage.runtime;
    let app = App::create(runtime, "keeper", &stage.web, &HTTPD, json!({}));
    app.publish();
    let id = app.serve();
    runtime.exec("keeper", "echo precious >/workspace/kept; mkdir /workspace/folder").ok();
    runtime.run(&format!("instance stop {id}")).ok();
    runtime.wait_for(&id, "stopped");
    runtime.run(&format!("instance start {id}")).ok();
    runtime.wait_for(&id, "running");
    runtime.exec("keeper", "cat /workspace/kept; test -d /workspace/folder").ok().says("precious");
    // Also when the machine is killed from outside, after it was synced; and for another instance of the app.
    runtime.exec("keeper", "echo more >>/workspace/kept; sync").ok();
    let _ = runtime.ask(&aegis_tests::runtime::http::Request::new("DELETE", &format!("/v1/instances/{id}")));
    app.serve();
    runtime.exec("keeper", "cat /workspace/kept").ok().says("precious").says("more");
}

fn a_named_workspace_is_shared_by_tasks_one_after_the_other(stage: &Stage) {
    let runtime = &stage.runtime;
    runtime.shell("--workspace results", "echo first >/workspace/list").ok();
    let said =
        runtime.shell("--workspace results", "echo second >>/workspace/list; cat /workspace/list").ok();
    assert_eq!(said.stdout, "first\nsecond\n");
    // Without a name a task's is its own, in memory.
    runtime.shell("", "test ! -e /workspace/list && touch /workspace/list").ok();
    runtime.shell("", "test ! -e /workspace/list").ok();
}
