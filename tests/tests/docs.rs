//! What the documents say is true where a machine can tell: links and paths lead somewhere, command lines parse,
//! manifests are valid, and the tests that the security model names exist.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use aegis_engine::{declare, manifest::Sources};
use clap::Parser;

/// Folders of the repository that a path in backticks begins with.
const FOLDERS: [&str; 9] =
    ["src/", "tests/", "docs/", "examples/", "schemas/", "packaging/", "proto/", "fuzz/", ".ci/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

fn listed(pattern: &str) -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", pattern])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    let text = String::from_utf8(listed.stdout).unwrap();
    text.lines().map(|line| root().join(line)).filter(|path| path.exists()).collect()
}

/// A document of this repository, cut into prose and fenced blocks.
struct Document {
    path: PathBuf,
    /// Lines outside of blocks, with their numbers.
    prose: Vec<(usize, String)>,
    blocks: Vec<Block>,
}

struct Block {
    language: String,
    /// The number of its first line.
    line: usize,
    text: String,
}

fn documents() -> Vec<Document> {
    let documents: Vec<Document> = listed("*.md").into_iter().map(read).collect();
    assert!(documents.len() > 15, "only {} documents were found", documents.len());
    documents
}

fn read(path: PathBuf) -> Document {
    let (mut prose, mut blocks, mut open) = (Vec::new(), Vec::new(), None::<Block>);
    for (index, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                open = Some(Block { language: language.to_owned(), line: index + 2, text: String::new() });
            }
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => prose.push((index + 1, line.to_owned())),
        }
    }
    assert!(open.is_none(), "{}: a block isn't closed", path.display());
    Document { path, prose, blocks }
}

impl Document {
    /// The words in backticks, with the numbers of their lines.
    fn code_words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose
            .iter()
            .flat_map(|(number, line)| line.split('`').skip(1).step_by(2).map(|word| (*number, word)))
    }
    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.strip_prefix(root()).unwrap().display())
    }
}

/// What must be empty.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_link_leads_somewhere() {
    let mut faults = Vec::new();
    let mut links = 0;
    for document in documents() {
        for (number, line) in &document.prose {
            for (at, _) in line.match_indices("](") {
                let target = line[at + 2..].split(')').next().unwrap();
                let file = target.split('#').next().unwrap();
                if target.contains("://") || file.is_empty() {
                    continue;
                }
                links += 1;
                if !document.path.parent().unwrap().join(file).exists() {
                    faults.push(format!("{}: {target} isn't there", document.at(*number)));
                }
            }
        }
    }
    assert!(links > 20, "only {links} links were found");
    none(&faults);
}

#[test]
fn every_path_exists() {
    let mut faults = Vec::new();
    for document in documents() {
        for (number, word) in document.code_words() {
            let is_path = FOLDERS.iter().any(|folder| word.starts_with(folder));
            // NAME stands for what the reader puts there.
            let is_pattern = word.contains(['*', '…', '<', ' ']) || word.contains("NAME");
            if is_path && !is_pattern && !root().join(word).exists() {
                faults.push(format!("{}: {word} isn't there", document.at(number)));
            }
        }
    }
    none(&faults);
}

/// The commands of a line of a shell: what stands between `&&`, `|` and `;`, split into words.
fn commands(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '&' | '|' | ';' | '>') => {
                words.extend(word.take());
                if letter != ' ' {
                    commands.push(std::mem::take(&mut words));
                }
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    commands.push(words);
    commands
}

/// The command lines in `text` that begin with `aegis`.
fn aegis_lines(text: &str) -> Vec<Vec<String>> {
    let line = text.trim().trim_start_matches("$ ");
    // What a shell would put in, or the reader leaves out, is no command line yet.
    if line.contains(['…', '<']) || line.contains("$(") || line.contains("...") {
        return Vec::new();
    }
    let is_aegis = |command: &Vec<String>| command.len() > 1 && command[0] == "aegis";
    commands(line).into_iter().filter(is_aegis).collect()
}

#[test]
fn every_command_line_parses() {
    let mut faults = Vec::new();
    let mut count = 0;
    let mut check = |place: String, line: &str| {
        for command in aegis_lines(line) {
            count += 1;
            if let Err(error) = aegis_cli::Cli::try_parse_from(&command)
                && error.use_stderr()
            {
                faults.push(format!("{place}: `{}`: {error}", command.join(" ")));
            }
        }
    };
    for document in documents() {
        let shells = ["sh", "console", "bash"];
        for block in document.blocks.iter().filter(|block| shells.contains(&block.language.as_str())) {
            for (index, line) in block.text.lines().enumerate() {
                check(document.at(block.line + index), line);
            }
        }
        // In prose a command is often only named; with an option it is meant to be run.
        for (number, word) in document.code_words().filter(|(_, word)| word.contains(" -")) {
            check(document.at(number), word);
        }
    }
    assert!(count > 30, "only {count} command lines were found");
    none(&faults);
}

#[test]
fn every_command_that_is_named_exists() {
    let reference = fs::read_to_string(root().join("docs/reference/cli.md")).unwrap();
    let mut faults = Vec::new();
    for document in documents() {
        for (number, word) in document.code_words() {
            let Some(rest) = word.strip_prefix("aegis ") else { continue };
            // The subcommands: words of small letters, up to the first that can't be one.
            let names: Vec<&str> = rest
                .split(' ')
                .take_while(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
                .take_while(|name| !name.starts_with('-'))
                .collect();
            let known = (1..=names.len())
                .any(|length| reference.contains(&format!("\n## aegis {}\n", names[..length].join(" "))));
            if !known && !names.is_empty() && !LATER.contains(&names[0]) {
                faults.push(format!("{}: there is no `{word}`", document.at(number)));
            }
        }
    }
    none(&faults);
}

/// Commands that the documents announce for later.
const LATER: [&str; 2] = ["agent", "sync"];

#[test]
fn every_manifest_is_valid() {
    let mut count = 0;
    for document in documents() {
        for block in document.blocks.iter().filter(|block| block.language == "yaml") {
            let place = document.at(block.line);
            if block.text.contains("kind: NodeConfig") || block.text.starts_with("cluster:") {
                aegis_edge::config::parse(&block.text, &place)
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
            } else if block.text.lines().any(|line| line.starts_with("kind:")) {
                let sources = Sources::from_texts([(place.as_str(), block.text.as_bytes())]).unwrap();
                if let Err(found) = declare::validate(&sources) {
                    panic!("{}", found.render(false));
                }
            } else {
                continue;
            }
            count += 1;
        }
    }
    assert!(count >= 4, "only {count} manifests were found");
}

#[test]
fn every_test_that_is_named_exists() {
    let sources: String = listed("*.rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut faults = Vec::new();
    let mut count = 0;
    // Names of tests are sentences; the guides also name fields and functions of two words.
    let words =
        [("docs/security-model.md", 2), ("docs/guide/add-a-kind.md", 3), ("docs/guide/add-a-command.md", 3)];
    for (name, least) in words {
        let document = read(root().join(name));
        for (number, word) in document.code_words().filter(|(_, word)| word.split('_').count() >= least) {
            if !word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
                continue;
            }
            count += 1;
            if !sources.contains(&format!("fn {word}(")) && !sources.contains(&format!("    {word}\n")) {
                faults.push(format!("{}: there is no test {word}", document.at(number)));
            }
        }
    }
    assert!(count > 50, "only {count} tests are named");
    none(&faults);
}
