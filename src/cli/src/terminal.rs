//! What the terminal can do: colours and questions only where somebody sees them.

use std::io::{BufRead, IsTerminal, Write};

use crate::{environment, failure::Failure};

/// Where text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Data.
    Stdout,
    /// Progress and messages.
    Stderr,
}

impl Stream {
    /// Whether somebody sees it as it is.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Stdout => std::io::stdout().is_terminal(),
            Self::Stderr => std::io::stderr().is_terminal(),
        }
    }
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Paint(bool);

/// The colours that tell many things from each other.
const MANY: [u8; 6] = [36, 33, 32, 35, 34, 96];

impl Paint {
    /// None.
    #[cfg(test)]
    pub const OFF: Self = Self(false);

    /// For a stream: only on a terminal, and never under `NO_COLOR` (1-product.md, "Verbs").
    pub fn of(stream: Stream) -> Self {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(stream.is_terminal() && !forbidden)
    }
    /// Whether there are any.
    pub fn is_on(self) -> bool {
        self.0
    }
    fn paint(self, code: u8, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
    /// What fails, or goes.
    pub fn red(self, text: &str) -> String {
        self.paint(31, text)
    }
    /// What is new, or well.
    pub fn green(self, text: &str) -> String {
        self.paint(32, text)
    }
    /// What changes, or wants attention.
    pub fn yellow(self, text: &str) -> String {
        self.paint(33, text)
    }
    /// A hint.
    pub fn cyan(self, text: &str) -> String {
        self.paint(36, text)
    }
    /// What needn't be read.
    pub fn dim(self, text: &str) -> String {
        self.paint(2, text)
    }
    /// One of many: its number has always the same colour.
    pub fn of_many(self, number: u32, text: &str) -> String {
        self.paint(MANY[number as usize % MANY.len()], text)
    }
    /// A line of a plan by its sign.
    pub fn sign(self, sign: char, text: &str) -> String {
        match sign {
            '+' => self.green(text),
            '-' => self.red(text),
            _ => self.yellow(text),
        }
    }
}

/// Whether somebody can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks on the terminal; anything but yes is no.
#[allow(clippy::print_stderr, reason = "questions go to stderr, data to stdout")]
pub fn confirm(question: &str) -> Result<bool, Failure> {
    eprint!("{question} [y/N] ");
    let read = || -> std::io::Result<String> {
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        Ok(answer)
    };
    let answer = read().map_err(|error| Failure::generic(format!("no answer could be read: {error}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Daemons log to stderr: from `level` on, or as `AEGIS_LOG` says; as text, or a JSON object a line.
///
/// The filter knows levels and targets, such as `info,aegis_edge=debug`, and nothing that would need regular
/// expressions: those alone cost an idle daemon a tenth of its memory.
pub fn log_to_stderr(level: &str, json: bool) {
    use tracing_subscriber::{
        Layer, filter::Targets, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt,
    };
    let wanted = environment::get(&environment::LOG).unwrap_or_else(|| level.to_owned());
    let filter: Targets =
        wanted.parse().unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let colours = Paint::of(Stream::Stderr).is_on();
    let layer = if json { layer.json().boxed() } else { layer.with_ansi(colours).boxed() };
    // A second call, as in tests, changes nothing.
    drop(registry().with(layer.with_filter(filter)).try_init());
}
