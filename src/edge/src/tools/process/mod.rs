//! Running a program: its output as it comes, its end, and the end of everything that it started.

mod environment;
mod pump;
mod spawn;
mod table;
mod tree;

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use aegis_core::fleet::TargetOutcome;
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

pub(super) use environment::Environment;
pub(crate) use environment::check_variables;
pub(super) use spawn::{Directory, Program};

use super::{
    output::Printer,
    running::{Ended, Until},
};
use pump::{feed, pump};
use spawn::Spawned;

/// So long after the first process's end others may hold its pipes open.
const PIPES_WITHIN: Duration = Duration::from_secs(1);

/// Runs it to its end, or until it is time. In the end nothing of its group is left; when it was ended, nothing of what
/// it started at all.
pub(super) async fn run(mut program: Program, until: &mut Until, printer: &Printer) -> Ended {
    let stdin = program.stdin.take();
    program.stdin = stdin.is_some().then(Vec::new);
    let spawned = tokio::select! {
        biased;
        // What is started after this is dropped by the task that starts it, and ended by that.
        how = until.over() => return Ended::stopped(how),
        spawned = spawn_blocking(move || spawn::spawn(&program)) => spawned,
    };
    let Spawned { tree, stdin: pipe, stdout, stderr } = match spawned {
        Ok(Ok(spawned)) => spawned,
        Ok(Err(error)) => return Ended::failed(error),
        Err(_) => return Ended::failed("the daemon failed to start it; see its log".to_owned()),
    };
    let mut feeder = JoinSet::new();
    if let (Some(pipe), Some(text)) = (pipe, stdin) {
        feeder.spawn(feed(pipe, text));
    }
    let leaving = watch::Sender::new(false);
    let pumps = async {
        let stdout = pump(&stdout, false, printer, leaving.subscribe());
        let stderr = pump(&stderr, true, printer, leaving.subscribe());
        tokio::join!(stdout, stderr);
    };
    tokio::pin!(pumps);
    let mut pumped = false;
    let stopped = loop {
        tokio::select! {
            biased;
            () = tree.exited() => break None,
            how = until.over() => break Some(how),
            () = &mut pumps, if !pumped => pumped = true,
        }
    };
    let mut left = Vec::new();
    if stopped.is_some() {
        let terminate = tree.terminate();
        tokio::pin!(terminate);
        left = loop {
            tokio::select! {
                biased;
                left = &mut terminate => break left,
                () = &mut pumps, if !pumped => pumped = true,
            }
        };
        // It had its time; the result waits for nobody's credit now.
        printer.lift();
    } else if !pumped {
        pumped = timeout(PIPES_WITHIN, &mut pumps).await.is_ok();
    }
    tree.end_group();
    leaving.send_replace(true);
    if !pumped {
        tokio::select! {
            biased;
            () = &mut pumps => {}
            _ = until.over() => {
                printer.lift();
                pumps.await;
            }
        }
    }
    drop(feeder);
    let mut ended = match stopped {
        // What hangs in the kernel can't be reaped, and dropping it signals it once more.
        Some(how) if !left.is_empty() => Ended::stopped(how),
        Some(how) => {
            let _ = tree.reap().await;
            Ended::stopped(how)
        }
        None => tree.reap().await.map_or_else(|error| Ended::failed(error.to_string()), ended),
    };
    if !left.is_empty() {
        let numbers: Vec<_> = left.iter().map(ToString::to_string).collect();
        ended.error =
            format!("processes of it are still there: {}; end them on the host", numbers.join(", "));
    }
    ended
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(0), _) => {
            Ended { outcome: TargetOutcome::Ok, exit_code: Some(0), error: String::new(), data: None }
        }
        (Some(code), _) => Ended { exit_code: Some(code), ..Ended::failed(format!("exit code {code}")) },
        (None, Some(signal)) => Ended::failed(format!("ended by signal {signal}{}", name(signal))),
        (None, None) => Ended::failed(format!("ended in an unknown way: {status}")),
    }
}

/// ` (SIGKILL)`, for the signals that people know.
fn name(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        3 => " (SIGQUIT)",
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        14 => " (SIGALRM)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU)",
        25 => " (SIGXFSZ)",
        _ => "",
    }
}
