//! Asking a person what to do with a file that is there already.

use std::io::{BufRead, Write};

use super::Choice;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no terminal.
    Nobody,
    /// The input ended, or made no sense several times.
    GaveUp,
}

/// Somebody who can be asked.
pub trait Prompter {
    /// Lets them choose one of `choices` about what `state` says.
    fn choose(&mut self, state: &str, choices: &[Choice]) -> Result<Choice, Refusal>;
}

/// Nobody: standard input is no terminal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unattended;

impl Prompter for Unattended {
    fn choose(&mut self, _: &str, _: &[Choice]) -> Result<Choice, Refusal> {
        Err(Refusal::Nobody)
    }
}

/// Writes questions to one stream (standard error) and reads a letter or a word a line from another (standard input).
#[derive(Debug)]
pub struct StreamPrompter<R, W> {
    input: R,
    output: W,
}

impl<R: BufRead, W: Write> StreamPrompter<R, W> {
    /// Asks on `output` and listens on `input`.
    pub fn new(input: R, output: W) -> Self {
        Self { input, output }
    }

    fn ask(&mut self, state: &str, choices: &[Choice]) -> std::io::Result<Option<Choice>> {
        let shown: Vec<_> = choices.iter().map(|c| format!("[{}] {}", c.letter(), c.as_str())).collect();
        write!(self.output, "{state}\n  {}? ", shown.join("  "))?;
        self.output.flush()?;
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let answer = line.trim().to_lowercase();
        let fits = |c: &&Choice| answer == c.as_str() || answer == c.letter().to_string();
        Ok(choices.iter().find(fits).copied())
    }
}

impl<R: BufRead, W: Write> Prompter for StreamPrompter<R, W> {
    fn choose(&mut self, state: &str, choices: &[Choice]) -> Result<Choice, Refusal> {
        // Three times is a person who mistypes; more is a program that doesn't know the question.
        for _ in 0..3 {
            match self.ask(state, choices) {
                Ok(Some(choice)) => return Ok(choice),
                Ok(None) => {}
                Err(_) => return Err(Refusal::GaveUp),
            }
        }
        Err(Refusal::GaveUp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(input: &str) -> (Result<Choice, Refusal>, String) {
        let mut output = Vec::new();
        let answer = StreamPrompter::new(input.as_bytes(), &mut output)
            .choose("node.key is present", &[Choice::Reuse, Choice::Generate, Choice::Abort]);
        (answer, String::from_utf8(output).unwrap())
    }

    #[test]
    fn a_letter_or_the_word_picks_a_choice() {
        let (answer, shown) = ask("g\n");
        assert_eq!(answer, Ok(Choice::Generate));
        assert_eq!(shown, "node.key is present\n  [r] reuse  [g] generate  [a] abort? ");
        assert_eq!(ask(" Reuse \n").0, Ok(Choice::Reuse));
        assert_eq!(ask("x\n\na\n").0, Ok(Choice::Abort));
    }

    #[test]
    fn an_end_or_nonsense_chooses_nothing() {
        assert_eq!(ask("").0, Err(Refusal::GaveUp));
        assert_eq!(ask("o\no\no\nr\n").0, Err(Refusal::GaveUp));
        assert_eq!(Unattended.choose("", &[]), Err(Refusal::Nobody));
    }

    #[test]
    fn the_letters_of_one_question_differ() {
        let offered = [
            Choice::UseExisting,
            Choice::Merge,
            Choice::Overwrite,
            Choice::Reuse,
            Choice::Generate,
            Choice::Replace,
            Choice::Abort,
        ];
        let letters: std::collections::BTreeSet<_> = offered.iter().map(|choice| choice.letter()).collect();
        assert_eq!(letters.len(), offered.len());
    }
}
