//! `aegis logs`

use aegis_core::{ExitCode, HumanDuration};
use aegis_edge::clock::{Clock, SystemClock};
use aegis_wire::runtime::{LogQuery, LogRecord, Source};
use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};

use crate::{
    exit::Exit,
    failure::Failure,
    fleet::visible_with_colours,
    local::{self, Batch, End, LogsOf, Signals, Streams, Written},
    output::Format,
    terminal::Stream,
};

/// Show what an app's instance wrote
///
/// Captured from the moment the guest's channel opens, kept under data/logs/, and there after the instance stopped.
/// Standard output and standard error come in the order in which they were written, both to stdout. On a terminal,
/// control characters are shown, not obeyed; colours stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis logs myapp --follow
  aegis logs myapp --tail 20 --since 10m
  aegis logs inst-1739893456789012345 --source system     what the guest's kernel and harness said
  aegis logs myapp -o json                                a record a line, with times")]
pub struct Args {
    /// The app, by name or id, an instance or a task
    target: String,
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short = 'f')]
    follow: bool,
    /// Nothing older: a duration, such as 10m, or a time, such as 2026-02-19T10:30:00Z
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// Only the last N lines of what is there
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    /// Only what this wrote
    #[arg(long, value_enum)]
    source: Option<SourceArg>,
    /// As text, or a record a line
    #[arg(long, short = 'o', value_enum, env = "AEGIS_OUTPUT", default_value = "table", hide_env = true)]
    output: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SourceArg {
    /// The instance's own process
    Main,
    /// Commands of `aegis exec`
    Exec,
    /// The guest's kernel and harness, and the daemon
    System,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Ago(HumanDuration),
    At(Timestamp),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = text.parse() {
        return Ok(Since::At(at));
    }
    text.parse().map(Since::Ago).map_err(|_| {
        format!("'{text}' is neither a duration, such as 10m, nor a time, such as 2026-02-19T10:30:00Z")
    })
}

impl Since {
    fn at(self, now_ms: i64) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(duration) => {
                let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::MAX);
                let ago = SignedDuration::try_from(std::time::Duration::from(duration));
                ago.ok().and_then(|ago| now.checked_sub(ago).ok()).unwrap_or(Timestamp::MIN)
            }
        }
    }
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<Exit, Failure> {
        let client = local::client()?;
        let mut signals = Signals::listen()?;
        let query = LogQuery {
            follow: self.follow,
            since: self.since.map(|since| since.at(SystemClock.now_ms())),
            tail: self.tail,
            source: self.source.map(|source| match source {
                SourceArg::Main => Source::Main,
                SourceArg::Exec => Source::Exec,
                SourceArg::System => Source::System,
            }),
        };
        let mut records = match local::logs_target(&client, &self.target).await? {
            LogsOf::Instance(id) => client.instance_logs(&id, query).await?,
            LogsOf::Task(id) => client.task_logs(&id, query).await?,
        };
        let form = Form::of(self.output);
        let mut streams = Streams::default();
        loop {
            let batch = tokio::select! {
                batch = Batch::read(&mut records) => batch,
                _ = signals.next() => return Ok(ExitCode::Success.into()),
            };
            for record in &batch.records {
                streams.push_stdout(&form.bytes(record)?);
            }
            if streams.write().await? == Written::ReaderGone {
                return Ok(ExitCode::Success.into());
            }
            match batch.end {
                None => {}
                Some(End::Broken(error)) => return Err(error.into()),
                // The log's end; how the process ended isn't how this command does.
                Some(End::Done { .. } | End::Silent) => return Ok(ExitCode::Success.into()),
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Byte for byte.
    AsIs,
    /// What a terminal would obey is shown instead.
    Visible,
    /// A record a line.
    Json,
    /// A document a record.
    Yaml,
}

impl Form {
    fn of(output: Format) -> Self {
        match output {
            Format::Json => Self::Json,
            Format::Yaml => Self::Yaml,
            Format::Table if Stream::Stdout.is_terminal() => Self::Visible,
            Format::Table => Self::AsIs,
        }
    }

    fn bytes(self, record: &LogRecord) -> Result<Vec<u8>, Failure> {
        Ok(match self {
            Self::AsIs => record.bytes(),
            Self::Visible => {
                visible_with_colours(&String::from_utf8_lossy(&record.bytes())).into_owned().into_bytes()
            }
            Self::Json => {
                let json = serde_json::to_string(record);
                json.map_err(|error| Failure::generic(format!("not JSON: {error}")))?.into_bytes()
            }
            .into_iter()
            .chain([b'\n'])
            .collect(),
            Self::Yaml => format!("---\n{}", crate::output::yaml(record)?).into_bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use aegis_wire::runtime::StreamName;

    use super::*;

    #[test]
    fn since_is_a_duration_or_a_time() {
        assert_eq!(since("10m").unwrap().at(600_000), Timestamp::UNIX_EPOCH);
        assert_eq!(since("1970-01-01T00:00:00Z").unwrap().at(5), Timestamp::UNIX_EPOCH);
        for wrong in ["", "10", "-5m", "yesterday", "2026-02-30T00:00:00Z"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_record_is_bytes_text_or_json() {
        let at = Timestamp::UNIX_EPOCH;
        let record = LogRecord::new(at, StreamName::Stdout, Source::Main, b"\xff\x1b[2J\x1b[31mred", false);
        assert_eq!(Form::AsIs.bytes(&record).unwrap(), b"\xff\x1b[2J\x1b[31mred\n");
        let shown = String::from_utf8(Form::Visible.bytes(&record).unwrap()).unwrap();
        assert_eq!(shown, "\u{fffd}^[[2J\x1b[31mred\n");
        let json = Form::Json.bytes(&record).unwrap();
        assert!(json.ends_with(b"\n") && !json[..json.len() - 1].contains(&b'\n'));
    }
}
