//! Guests: how long they take to be there, what they weigh, and what an app costs that sleeps or is published. Each number
//! next to a bare QEMU of the same kernel, or to `crun` with the same files.

mod bare;
mod crun;
mod memory;

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use aegis_tests::runtime::{
    Runtime,
    http::Request,
    image::{Image, Layer},
    registry::Registry,
};
use serde_json::{Value, json};

use crate::{
    machine::{median, quiet},
    report::{Report, Row},
};

/// Times that each thing is measured.
const ROUNDS: usize = 7;

/// The middle of several measurements of what `once` takes, in milliseconds, after one that isn't counted.
async fn measure(mut once: impl FnMut() -> Duration) -> f64 {
    once();
    let mut taken = Vec::new();
    for _ in 0..ROUNDS {
        quiet().await;
        taken.push(once().as_secs_f64() * 1e3);
    }
    median(taken)
}

/// What the whole command `aegis run -- true` takes.
fn run_true(runtime: &Runtime, flags: &[&str]) -> Duration {
    let mut words = vec!["run"];
    words.extend(flags);
    words.extend(["--", "true"]);
    let mut command = runtime.command(&words);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status().expect("aegis");
    assert!(status.success(), "aegis {}: {status}", words.join(" "));
    begun.elapsed()
}

fn usable(status: &Value, name: &str) -> Result<(), String> {
    let rows = status["backends"].as_array().expect("backends");
    let row = rows.iter().find(|row| row["name"] == name).expect("every backend has a row");
    if row["usable"] == true { Ok(()) } else { Err(row["reason"].as_str().unwrap_or_default().to_owned()) }
}

pub async fn run(report: &mut Report) {
    let registry = Registry::start();
    let status = Runtime::start("").status();
    if let Err(why) = usable(&status, "libkrun") {
        report.remark(format!("`libkrun` wasn't measured: {why}."));
    }
    if let Err(why) = usable(&status, "qemu") {
        report.remark(format!("`qemu` wasn't measured: {why}."));
    } else {
        starts(report, status["accelerator"].as_str().unwrap_or("tcg")).await;
        wakes(report, &registry, "qemu").await;
        memory::run(report).await;
    }
    if let Err(why) = usable(&status, "namespaces") {
        report.remark(format!("`namespaces` wasn't measured: {why}."));
    } else {
        processes(report).await;
        wakes(report, &registry, "namespaces").await;
    }
    publishes(report, &registry).await;
}

/// Cold and warm starts of a VM.
async fn starts(report: &mut Report, how: &str) {
    let runtime = Runtime::start("backend: qemu\n");
    run_true(&runtime, &[]);
    let disks = std::fs::read_dir(runtime.home().join("data/images/rootfs")).unwrap().flatten();
    let disk = disks.map(|entry| entry.path()).next().expect("the disk of the base image");
    let machine = bare::Bare::new(how, disk);
    let boot = measure(|| machine.boot()).await;
    let cold = {
        let runtime = Runtime::start("backend: qemu\nwarm: false\n");
        measure(|| run_true(&runtime, &[])).await
    };
    let what = format!("`aegis run -- true`, cold, qemu with {how}");
    let row =
        Row::new("runtime", what, cold, "ms").beside("bare boot of the same kernel to its first word", boot);
    report.add(row.at_most_times(1.3));
    let template = machine.template();
    let clone = measure(|| machine.clone_of(&template)).await;
    let warm = measure(|| run_true(&runtime, &[])).await;
    let what = format!("the same, warm (a clone), qemu with {how}");
    let row = Row::new("runtime", what, warm, "ms")
        .beside("bare clone of a QEMU, with the image, to the end of `true`", clone);
    report.add(row.at_most_times(1.5));
    report.add(Row::new("runtime", "the same, warm, as a time", warm, "ms").at_most(400.0));
}

/// Starts without a VM.
async fn processes(report: &mut Report) {
    let runtime = Runtime::start("backend: namespaces\n");
    let own = measure(|| run_true(&runtime, &[])).await;
    let row = Row::new("runtime", "`aegis run -- true`, namespaces", own, "ms");
    match crun::Container::new() {
        Ok(container) => {
            let peer = measure(|| container.run_true()).await;
            report.add(row.beside("crun run with the same files", peer).at_most_times(3.0));
        }
        Err(why) => {
            report.remark(format!("`crun` isn't a peer here: {why}."));
            report.add(row);
        }
    }
}

/// From pause to an answer, next to the same request of one that runs.
async fn wakes(report: &mut Report, registry: &Registry, backend: &str) {
    let runtime = Runtime::start(&format!("backend: {backend}\n"));
    if runtime.status()["capabilities"]["pause_resume"] != true {
        report.remark(format!("`{backend}` can't pause here."));
        return;
    }
    let page = Layer::new().folder("srv").file("srv/index.html", 0o644, "page\n");
    let image = registry.push("bench/page:1", &Image::base().layer(&page));
    let body = json!({"name": "page", "image": image, "command": ["httpd", "-f", "-p", "80", "-h", "/srv"], "expose": [{"guest": 80}]});
    let _ = runtime.post("/v1/apps", &body).expect(201);
    let _ = runtime.post("/v1/apps/page/publish", &json!({})).expect(201);
    let id =
        runtime.post("/v1/apps/page/serve", &json!({"wait": true})).json()["id"].as_str().unwrap().to_owned();
    runtime.wait_for(&id, "running");
    let router = runtime.router();
    let request = Request::get("/").header("host", "page.localhost");
    let ask = || {
        let begun = Instant::now();
        let answer = request.send(router).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        begun.elapsed()
    };
    let running = measure(ask).await;
    let woken = measure(|| {
        let _ = runtime.post(&format!("/v1/instances/{id}/pause"), &json!({})).expect(200);
        ask()
    })
    .await;
    let what = format!("a request to a paused app, {backend}");
    report.add(Row::new("runtime", what, woken, "ms").beside("the same while it runs", running));
    let what = format!("of it for waking up, {backend}");
    report.add(Row::new("runtime", what, woken - running, "ms").at_most(10.0));
}

/// A release of an image whose layers are all there.
async fn publishes(report: &mut Report, registry: &Registry) {
    let runtime = Runtime::start("");
    for (name, mebibytes, label) in [("small", 0_usize, "2 MB"), ("large", 200, "200 MB")] {
        // Bytes that no file system packs away.
        let mut state = 0x9e37_79b9_u32;
        let mut layer = Layer::new().folder("data");
        for number in 0..mebibytes {
            let content: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .take(1 << 20)
            .collect();
            layer = layer.file(&format!("data/{number}"), 0o644, content);
        }
        let image = registry.push(&format!("bench/{name}:1"), &Image::base().layer(&layer));
        let body = json!({"name": name, "image": image, "command": ["true"]});
        let _ = runtime.post("/v1/apps", &body).expect(201);
        let taken = measure(|| {
            let mut command = runtime.command(&["app", "publish", name]);
            command.stdout(Stdio::null());
            let begun = Instant::now();
            assert!(command.status().expect("aegis").success());
            begun.elapsed()
        })
        .await;
        let what = format!("`aegis app publish` of an image of {label}, layers cached");
        report.add(Row::new("runtime", what, taken, "ms").at_most(100.0));
    }
}
