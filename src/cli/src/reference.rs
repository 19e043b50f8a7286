//! The generated documentation: everything the tree of commands and the tables already know.

use std::{collections::BTreeMap, fmt::Write as _};

use aegis_core::ExitCode;
use aegis_kinds::KINDS;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::{cli::Cli, environment::VARIABLES};

fn tree() -> Command {
    let mut command = Cli::command().term_width(110);
    command.build();
    command
}

/// The completion script of a shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "aegis", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Every man page by the name of its file.
pub fn man_pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    man_page(&tree(), "aegis", &mut pages);
    pages
}

fn man_page(command: &Command, name: &str, pages: &mut BTreeMap<String, String>) {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone().name(name.to_owned())).date("");
    // Rendering into memory doesn't fail.
    if man.render(&mut page).is_ok() {
        pages.insert(format!("{name}.1"), String::from_utf8_lossy(&page).into_owned());
    }
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        man_page(sub, &format!("{name}-{}", sub.get_name()), pages);
    }
}

/// The help of every command, as one page.
pub fn cli_reference() -> String {
    let mut text =
        String::from("# Command reference\n\nGenerated from the program; `make generate` writes it anew.\n");
    section(tree(), "aegis", &mut text);
    text += "\n## Exit codes\n\n| code | meaning |\n|---|---|\n";
    for (code, meaning) in ExitCode::TABLE {
        let _ = writeln!(text, "| {} | {meaning} |", code.code());
    }
    text
}

fn section(mut command: Command, path: &str, text: &mut String) {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(text, "\n## {path}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    let subcommands: Vec<Command> =
        command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned().collect();
    for sub in subcommands {
        let path = format!("{path} {}", sub.get_name());
        section(sub, &path, text);
    }
}

/// The environment variables.
pub fn environment_reference() -> String {
    let mut text = String::from(
        "# Environment variables\n\nGenerated from the program; `make generate` writes it anew.\n\n| variable | purpose |\n|---|---|\n",
    );
    for variable in VARIABLES {
        let _ = writeln!(text, "| `{}` | {} |", variable.name, variable.purpose);
    }
    text
}

/// The kinds, each with its example.
pub fn kinds_reference() -> String {
    let mut text = String::from(
        "# Kinds\n\nGenerated from the program; `make generate` writes it anew. `aegis explain KIND.path` explains each field.\n",
    );
    for info in KINDS {
        let names = info.aliases.join("`, `");
        let _ = write!(
            text,
            "\n## {}\n\n{}. Also called `{names}`. Schema: [`schemas/{}.json`](../../schemas/{}.json).\n\n```yaml\n{}```\n",
            info.name,
            capitalised(info.summary),
            info.name,
            info.name,
            info.example
        );
    }
    text
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn check(command: &Command, path: &str) {
            assert!(command.get_about().is_some(), "{path} has no help");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path} {} has no help", argument.get_id());
            }
            for sub in command.get_subcommands() {
                check(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        check(&tree(), "aegis");
    }
}
