//! Tools that work on files: on tokio's blocking pool, beneath what was granted, and never on the daemon's own.

mod directory;
mod entry;
mod glob;
mod grep;
mod list;
mod place;
mod read;
mod shield;
mod walk;
mod write;

use std::time::Duration;

use aegis_core::fleet::TargetOutcome;
use aegis_kinds::policy::Grant;
use serde_json::Value;
use tokio::{task::spawn_blocking, time::timeout};

use super::{
    Call, Refused,
    output::Printer,
    running::{Ended, Until},
};

pub(super) use place::{Place, look};
pub(super) use shield::Shield;

/// After it was told to end, work may take so long to notice. One that hangs in the kernel is not waited for.
const NOTICES_WITHIN: Duration = Duration::from_secs(1);

/// What work gives: text for people and JSON for programs.
#[derive(Debug)]
pub(super) struct Report {
    pub text: Vec<u8>,
    pub data: Value,
}

/// What work looks at and asks while it goes on.
pub(super) struct Context {
    pub shield: Shield,
    until: Until,
}

impl Context {
    /// Fails when it is time to end.
    pub fn go_on(&self) -> Result<(), String> {
        match self.until.is_over() {
            Some(how) => Err(format!("ended before it was done: {how}")),
            None => Ok(()),
        }
    }
}

/// Work that blocks.
pub(super) type Job = Box<dyn FnOnce(&Context) -> Result<Report, String> + Send>;

/// Does it, and prints what comes of it.
pub(super) async fn run(job: Job, shield: Shield, until: &mut Until, printer: &Printer) -> Ended {
    let context = Context { shield, until: until.clone() };
    let mut work = spawn_blocking(move || job(&context));
    let (stopped, done) = tokio::select! {
        biased;
        // The work may notice it before this does.
        done = &mut work => (until.is_over(), Some(done)),
        how = until.over() => (Some(how), timeout(NOTICES_WITHIN, work).await.ok()),
    };
    let report = match (done, stopped) {
        // Done is done, also when it was to end meanwhile.
        (Some(Ok(Ok(report))), _) => report,
        (Some(Ok(Err(_))) | None, Some(how)) => return Ended::stopped(how),
        (Some(Ok(Err(error))), None) => return Ended::failed(error),
        (Some(Err(_)) | None, _) => {
            return Ended::failed("the daemon failed while it did that; see its log".to_owned());
        }
    };
    if stopped.is_some() {
        printer.lift();
    }
    {
        let printing = printer.print_all(false, &report.text);
        tokio::pin!(printing);
        tokio::select! {
            biased;
            () = &mut printing => {}
            _ = until.over() => {
                printer.lift();
                printing.await;
            }
        }
    }
    Ended { outcome: TargetOutcome::Ok, exit_code: None, error: String::new(), data: Some(report.data) }
}

/// The work of a call of `fs.…`.
pub(super) fn job(call: &Call, grant: &Grant) -> Result<Job, Refused> {
    match call.tool.as_str() {
        "fs.read" => read::job(call, grant),
        "fs.list" => list::list(call, grant),
        "fs.glob" => list::glob(call, grant),
        "fs.grep" => grep::job(call, grant),
        "fs.write" => write::write(call, grant),
        "fs.edit" => write::edit(call, grant),
        "fs.create_dir" => directory::create(call, grant),
        "fs.delete" => directory::delete(call, grant),
        other => Err(Refused::new("tool", format!("this daemon can't do {other} yet; bring it up to date"))),
    }
}
