//! `aegis run`

use std::time::Duration;

use aegis_core::{ExitCode, HumanDuration};
use aegis_wire::runtime::{
    CreateInstance, CreateTask, Expose, LogQuery, RuntimeClient, Source, Task, TaskState,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    exit::Exit,
    failure::Failure,
    fleet::visible,
    local::{self, Batch, End, GuestArgs, OnInterrupt, Serving, Signals, Streams, Written},
    terminal::{Paint, Stream},
};

/// How long a cancelled task may take to end: SIGTERM, 5 s, SIGKILL.
const CANCELLED_WITHIN: Duration = Duration::from_secs(10);
/// How often the sign of waiting is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// Run a command in a guest of its own
///
/// Without --expose it is a task: its output comes as it is, and its exit code is this command's. Ctrl-C cancels it
/// (exit 7), a second one leaves at once. With --expose it serves: the address is shown, and the instance lives until
/// Ctrl-C or until its process ends. Images give the file system only; their ENTRYPOINT, CMD, ENV, EXPOSE and VOLUME
/// are ignored.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis run -- echo \"hello from aegis\"
  aegis run --image alpine:3.21 -- echo hello
  aegis run --expose 80 --image python:3.12-alpine -- python -m http.server 80     at http://127.0.0.1:8099, until Ctrl-C
  aegis run --expose 8080:80 --image nginx:alpine -- nginx -g 'daemon off;'
  aegis run --memory 1G --cpus 2 --timeout 5m --env CI --secret TOKEN --workspace build -- make
Exit codes: the command's own; 1 when it couldn't be run, 7 cancelled, 8 out of time.")]
pub struct Args {
    /// The image to take the file system from: a reference, oci:DIR or docker-archive:FILE [default: a small one of Aegis' own]
    #[arg(long, value_parser = local::image)]
    image: Option<String>,
    /// A port of the guest to reach from here, GUEST or HOST:GUEST; may be repeated; serves until Ctrl-C
    #[arg(long, value_name = "PORT", value_parser = local::expose)]
    expose: Vec<Expose>,
    #[command(flatten)]
    guest: GuestArgs,
    /// End a task that takes longer, such as 30s or 5m
    #[arg(long, value_name = "DURATION", conflicts_with = "expose", value_parser = timeout)]
    timeout: Option<HumanDuration>,
    /// The command, behind --
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn timeout(text: &str) -> Result<HumanDuration, String> {
    match text.parse::<HumanDuration>() {
        Ok(timeout) if Duration::from(timeout).is_zero() => Err("no task ends at once; write 30s".to_owned()),
        read => read.map_err(|error| error.to_string()),
    }
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<Exit, Failure> {
        let client = local::client()?;
        let asked_for = self.guest.names_backend();
        let options = self.guest.options(local::own_variable)?;
        if self.expose.is_empty() {
            let timeout_ms = self
                .timeout
                .map(|timeout| u64::try_from(Duration::from(timeout).as_millis()).unwrap_or(u64::MAX));
            let task = CreateTask { command: self.command, image: self.image, options, timeout_ms };
            return run_task(&client, &task, asked_for).await;
        }
        let create =
            CreateInstance { command: self.command, image: self.image, expose: self.expose, options };
        let instance = client.create_instance(&create).await?;
        say_if_no_vm(&instance.backend, asked_for);
        Serving { client: &client, name: None, on_interrupt: OnInterrupt::Delete }.run(instance, false).await
    }
}

/// Nobody is to take a sandbox for a VM unawares.
#[allow(clippy::print_stderr, reason = "messages go to stderr")]
fn say_if_no_vm(backend: &str, asked_for: bool) {
    if backend == "namespaces" && (!asked_for || Stream::Stderr.is_terminal()) {
        eprintln!(
            "note: the backend namespaces is no VM: this machine's kernel is shared; see `aegis doctor`"
        );
    }
}

async fn run_task(client: &RuntimeClient, create: &CreateTask, asked_for: bool) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    let task = client.create_task(create).await?;
    say_if_no_vm(&task.backend, asked_for);
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut records = client.task_logs(&task.id, query).await?;
    let mut streams = Streams::default();
    let mut waiting = Waiting::start(create.image.as_deref());
    let mut cancelled = false;
    let give_up = tokio::time::sleep(Duration::MAX);
    tokio::pin!(give_up);
    let end = loop {
        tokio::select! {
            batch = Batch::read(&mut records) => {
                for record in &batch.records {
                    if record.source == Source::System {
                        waiting.say(&record.line);
                    } else {
                        waiting.clear();
                        streams.push(record);
                    }
                }
                if streams.write().await? == Written::ReaderGone {
                    // What a local command would die of.
                    cancel(client, &task.id).await?;
                    return Ok(Exit::READER_GONE);
                }
                if let Some(end) = batch.end {
                    break end;
                }
            }
            _ = signals.next() => {
                if cancelled {
                    return Ok(ExitCode::Cancelled.into());
                }
                cancelled = true;
                waiting.clear();
                cancel(client, &task.id).await?;
                give_up.as_mut().reset(tokio::time::Instant::now() + CANCELLED_WITHIN);
            }
            () = &mut give_up, if cancelled => return Ok(ExitCode::Cancelled.into()),
        }
    };
    waiting.clear();
    if let End::Broken(error) = end {
        return Err(error.into());
    }
    match client.task(&task.id).await {
        // One that was over when it was cancelled is forgotten.
        Err(error) if error.status == 404 && cancelled => Ok(ExitCode::Cancelled.into()),
        task => verdict(&task?, end),
    }
}

/// One that is over already needs no cancelling.
async fn cancel(client: &RuntimeClient, id: &str) -> Result<(), Failure> {
    match client.cancel_task(id).await {
        Err(error) if ![404, 409].contains(&error.status) => Err(error.into()),
        _ => Ok(()),
    }
}

/// How the command ends, by how its task did.
fn verdict(task: &Task, end: End) -> Result<Exit, Failure> {
    let id = &task.id;
    let (said, error) = match end {
        End::Done { exit_code, error } => (Some(exit_code), error),
        End::Silent | End::Broken(_) => (None, None),
    };
    let why = task.error.clone().or(error);
    match task.state {
        TaskState::TimedOut => Err(Failure::new(
            ExitCode::DeadlineExceeded,
            why.unwrap_or_else(|| format!("{id} took longer than --timeout and was ended")),
        )),
        TaskState::Cancelled => Err(Failure::new(ExitCode::Cancelled, format!("{id} was cancelled"))),
        TaskState::Succeeded => Ok(ExitCode::Success.into()),
        TaskState::Failed => match (task.exit_code.or(said), why) {
            (Some(code), None) => Ok(Exit::of_process(code)),
            (Some(code), Some(why)) if code > 0 => {
                Failure::generic(why).print();
                Ok(Exit::of_process(code))
            }
            (_, why) => Err(Failure::generic(why.unwrap_or_else(|| format!("{id} failed")))),
        },
        TaskState::Queued | TaskState::Running => match said {
            Some(code) => Ok(Exit::of_process(code)),
            None => Err(Failure::generic(format!("the output of {id} broke off; it still runs"))
                .hint(format!("`aegis logs {id} --follow`"))),
        },
    }
}

/// That a guest is on its way: an image is pulled, a kernel boots. Only where somebody sees it.
#[derive(Debug)]
struct Waiting(Option<ProgressBar>);

impl Waiting {
    fn start(image: Option<&str>) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").ok();
        let wanted = Paint::of(Stream::Stderr).is_on();
        let bar = style.filter(|_| wanted).map(|style| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
            bar.set_message(image.map_or("starting".to_owned(), |image| visible(image).into_owned()));
            bar.enable_steady_tick(DRAWN_EVERY);
            bar
        });
        Self(bar)
    }
    fn say(&self, line: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(visible(line).replace('\n', " "));
        }
    }
    fn clear(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::sample;

    #[test]
    fn a_task_ends_the_command_as_it_ended() {
        use TaskState::{Cancelled, Failed, Queued, Running, Succeeded, TimedOut};
        let code = |state, code, end| match verdict(&sample::task(state, code), end) {
            Ok(exit) => exit.code(),
            Err(failure) => failure.exit.code(),
        };
        let done = |exit_code| End::Done { exit_code, error: None };
        let failed = |error: &str| End::Done { exit_code: -1, error: Some(error.to_owned()) };
        for (state, known, end, wanted) in [
            (Succeeded, Some(0), done(0), 0),
            (Failed, Some(42), done(42), 42),
            (Failed, Some(137), done(137), 137),
            (Failed, None, done(1), 1),
            (Failed, None, failed("no such image"), 1),
            (Failed, Some(127), End::Done { exit_code: 127, error: Some("no such program".into()) }, 127),
            (TimedOut, Some(143), done(143), 8),
            (Cancelled, None, done(-1), 7),
            // The last record is there before the task's state is.
            (Running, None, done(42), 42),
            (Queued, None, End::Silent, 1),
        ] {
            assert_eq!(code(state, known, end), wanted, "{state:?} {known:?}");
        }
    }
}
