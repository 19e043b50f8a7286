//! The `aegis` program, as a person or a script would call it.

use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{output::Output, process::Process};

/// What `aegis` shall be run with. Nothing of the caller's own environment reaches it but the `PATH`.
#[derive(Debug, Clone)]
pub struct Program {
    directory: PathBuf,
    variables: Vec<(OsString, OsString)>,
}

impl Program {
    /// `aegis`, run in `directory`, with `directory/home` for its files.
    pub fn new(directory: &Path) -> Self {
        let program = Self { directory: directory.to_owned(), variables: Vec::new() };
        program.env("AEGIS_HOME", directory.join("home")).env("HOME", directory)
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.retain(|(have, _)| *have != *name);
        self.variables.push((name.into(), value.into()));
        self
    }

    /// The same without an environment variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(have, _)| *have != *name);
        self
    }

    /// Runs a command line to its end, without an input.
    #[track_caller]
    pub fn run(&self, line: &str) -> Output {
        self.start(line).wait()
    }

    /// Runs a command line with `input` as its standard input.
    #[track_caller]
    pub fn run_with(&self, line: &str, input: &str) -> Output {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(input.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let mut command = self.command(line);
        command.stdin(file);
        Process::start(command).wait()
    }

    /// Starts a command line.
    pub fn start(&self, line: &str) -> Process {
        Process::start(self.command(line))
    }

    /// A command line, not started, without an input.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(binary());
        command.args(words(line)).current_dir(&self.directory).stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The program: as `AEGIS_BIN` says, else that of the same build.
pub fn binary() -> PathBuf {
    let path = match std::env::var_os("AEGIS_BIN") {
        Some(path) => PathBuf::from(path),
        // The test is target/debug/deps/NAME.
        None => std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("aegis"),
    };
    assert!(
        path.is_file(),
        "{} isn't there; build it with `cargo build -p aegis-cli`, or name another with AEGIS_BIN",
        path.display()
    );
    path
}

/// A command line's words: at blanks, except between single quotes.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(super::words("a  'b c' d'e'f ''"), ["a", "b c", "def", ""]);
    }
}
