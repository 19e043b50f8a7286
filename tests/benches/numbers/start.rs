//! How long the command takes to start.

use std::path::Path;

use crate::{
    child, machine,
    machine::median,
    report::{Report, Row},
};

const ROUNDS: usize = 201;

pub async fn run(report: &mut Report) {
    let folder = tempfile::tempdir().unwrap();
    let aegis = child::aegis();
    let quiet = machine::quiet().await;
    let (mut own, mut floor) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let mut version = child::command(&aegis, folder.path());
        version.arg("--version");
        for (command, times) in
            [(version, &mut own), (child::command(Path::new("/bin/true"), folder.path()), &mut floor)]
        {
            let taken = child::time(command).await;
            assert!(taken.status.success());
            times.push(taken.wall.as_secs_f64() * 1e3);
        }
    }
    let row = Row::new("start", "start of `aegis --version`", median(own), "ms");
    report.add(row.beside("/bin/true", median(floor)).at_most(3.0));
    if !quiet {
        report.remark("The machine was not quiet while the start was measured.");
    }
}
