//! `aegisd`: tracing, home, backends, run, and an exit code. See the library for what it does.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use aegis_backend::libkrun;
use aegis_runtime::{assets, clock::Clock, run};
use tokio::signal::unix::{SignalKind, signal};

/// How long threads that block are waited for at the end.
const LAST_MOMENT: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    if let Err(error) = aegis_runtime::small::leave_no_core() {
        return fail(&format!("core files can't be forbidden: {error}"), None);
    }
    let mut arguments = std::env::args().skip(1);
    // A process that libkrun makes a VM of: this program once more, as it can't be the daemon itself.
    if arguments.next().as_deref() == Some(libkrun::CHILD) {
        return fail(&libkrun::child(&arguments.next().unwrap_or_default()), None);
    }
    aegis_runtime::small::bound_memory();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .thread_stack_size(512 * 1024)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string(), None),
    };
    let Some(home) = home() else {
        return fail("HOME isn't set", Some("set AEGIS_HOME to a directory for Aegis's files"));
    };
    aegis_runtime::small::log(variable("AEGIS_LOG").as_deref());
    let guest = assets::guest_directory(variable("AEGIS_GUEST_DIR").map(PathBuf::from));
    let options = run::Options {
        home,
        user: user(),
        base_tar: guest.as_ref().map(|guest| guest.join("base.tar")).filter(|tar| tar.exists()),
        backends: Box::new(move |home, config| assets::backends(guest.as_deref(), home, config)),
        clock: Clock::system(),
    };
    let result = runtime.block_on(run::run(options, |_| announce(), told_to_stop()));
    // What still blocks a thread is of no use to anybody any more.
    runtime.shutdown_timeout(LAST_MOMENT);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), error.hint()),
    }
}

/// Tells systemd, if it started this, that calls are taken.
fn announce() {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::warn!(%error, "can't tell systemd that aegisd is ready");
    }
    aegis_runtime::small::trim();
}

/// Done at SIGTERM or SIGINT.
async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals can't be heard; only SIGKILL stops this");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn home() -> Option<PathBuf> {
    let given = variable("AEGIS_HOME").map(PathBuf::from);
    given.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".aegis")))
}

/// Who this daemon works for, for the history: the name of its user, or else the number.
fn user() -> String {
    let id = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mine = fields.into_iter().find(|fields| fields.get(2) == Some(&id.as_str()));
    let name = mine.and_then(|fields| fields.first().map(ToString::to_string));
    name.or_else(|| variable("USER")).unwrap_or_else(|| format!("uid {id}"))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[allow(clippy::print_stderr, reason = "a daemon that can't run says so where it was started")]
fn fail(message: &str, hint: Option<&str>) -> ExitCode {
    eprintln!("error: {message}");
    if let Some(hint) = hint {
        eprintln!("  hint: {hint}");
    }
    tracing::error!(message, "aegisd ends");
    ExitCode::FAILURE
}
