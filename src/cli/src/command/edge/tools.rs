//! `aegis edge tools`

use aegis_core::{ExitCode, HumanDuration, nearest::nearest};
use aegis_kinds::tool;
use aegis_wire::operator::{ListTools, Tool};
use clap::Subcommand;
use serde_json::Value;

use crate::{
    context::ContextArgs,
    failure::Failure,
    fleet::visible,
    output::{OutputArgs, fields, table},
};

/// What hosts can be asked to do
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the tools: those that are built in, or those of a host
    #[command(after_help = "Examples:
  aegis edge tools ls                    what every host can do, where it has the programs
  aegis edge tools ls --node web-1       what web-1 can do, what it can't and why, and its owner's own tools")]
    Ls {
        /// The host: its node id, a unique prefix of it, or its name
        #[arg(long, value_name = "NODE")]
        node: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show a tool and its arguments
    #[command(after_help = "Examples:
  aegis edge tools show cmd.run
  aegis edge tools show backup.start --node db-1     a tool that db-1's owner declared
  aegis edge tools show fs.read --output json        with the JSON Schema of its arguments")]
    Show {
        /// Its name
        name: String,
        /// The host that has it, where it isn't built in
        #[arg(long, value_name = "NODE")]
        node: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl Args {
    /// Runs it.
    pub async fn run(self, context: &ContextArgs) -> Result<ExitCode, Failure> {
        match self.verb {
            Verb::Ls { node, output } => {
                let of_host = node.is_some();
                let tools = context.client().await?.list_tools(ListTools { node }).await?;
                output.show(tools.as_slice(), |tools| list(tools, of_host))?;
            }
            Verb::Show { name, node: None, output } => output.show(&builtin(&name)?, text)?,
            Verb::Show { name, node: Some(node), output } => {
                let tools =
                    context.client().await?.list_tools(ListTools { node: Some(node.clone()) }).await?;
                let found = tools.iter().find(|tool| tool.name == name).ok_or_else(|| {
                    let near = nearest(&name, tools.iter().map(|tool| tool.name.as_str()));
                    Failure::not_found(format!("{node} has no tool '{name}'")).hint(match near {
                        Some(near) => format!("did you mean {near}?"),
                        None => format!("`aegis edge tools ls --node {node}` lists its tools"),
                    })
                })?;
                output.show(found, text)?;
            }
        }
        Ok(ExitCode::Success)
    }
}

/// A built-in tool, which needs no controller to be known.
fn builtin(name: &str) -> Result<Tool, Failure> {
    let Some(found) = tool::find(name) else {
        let near = nearest(name, tool::BUILTINS.iter().map(|builtin| builtin.name));
        return Err(Failure::not_found(format!("no tool '{name}' is built in")).hint(match near {
            Some(near) => format!("did you mean {near}? A tool of a host's owner is found with --node NODE"),
            None => {
                "a tool of a host's owner is found with --node NODE; `aegis edge tools ls` lists the others"
                    .into()
            }
        }));
    };
    Ok(Tool {
        name: found.name.to_owned(),
        summary: found.summary.to_owned(),
        class: found.class,
        fleet_capable: found.fleet_capable,
        timeout_ms: found.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        parameters: found.parameters(),
        custom: false,
        unavailable: None,
    })
}

fn list(tools: &[Tool], of_host: bool) -> String {
    let row = |tool: &Tool| {
        [
            tool.name.clone(),
            tool.class.to_string(),
            yes(tool.fleet_capable),
            timeout(tool),
            visible(&tool.summary).into_owned(),
        ]
    };
    if !of_host {
        return table(["NAME", "CLASS", "FLEET", "TIMEOUT", "SUMMARY"], tools.iter().map(row));
    }
    let with_host = |tool: &Tool| {
        let [name, class, fleet, timeout, summary] = row(tool);
        let unavailable = tool.unavailable.as_deref().map(visible).unwrap_or_default().into_owned();
        [
            name,
            class,
            fleet,
            timeout,
            if tool.custom { "owner" } else { "built in" }.into(),
            unavailable,
            summary,
        ]
    };
    table(
        ["NAME", "CLASS", "FLEET", "TIMEOUT", "FROM", "UNAVAILABLE", "SUMMARY"],
        tools.iter().map(with_host),
    )
}

fn text(tool: &Tool) -> String {
    let lines = [
        ("name", tool.name.clone()),
        ("summary", visible(&tool.summary).into_owned()),
        ("class", tool.class.to_string()),
        ("on_error", format!("{} (unless the caller says otherwise)", tool.class.on_error())),
        ("fleet", yes(tool.fleet_capable)),
        ("timeout", timeout(tool)),
        ("from", if tool.custom { "the host's owner" } else { "built in" }.to_owned()),
        ("unavailable", tool.unavailable.as_deref().map(visible).unwrap_or_default().into_owned()),
    ];
    let mut text = fields(lines.into_iter().filter(|(_, value)| !value.is_empty() && value != "-"));
    let arguments = arguments(&tool.parameters);
    if arguments.is_empty() {
        return text + "it takes no arguments\n";
    }
    text += "\n";
    text += &table(["ARGUMENT", "TYPE", "REQUIRED", "DESCRIPTION"], arguments);
    if let Some(names) = alternatives(&tool.parameters) {
        text += &format!("exactly one of: {}\n", names.join(", "));
    }
    text
}

/// The arguments as rows: name, type, whether it must be there, description.
fn arguments(parameters: &Value) -> Vec<[String; 4]> {
    let required: Vec<&str> =
        parameters["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = parameters["properties"].as_object();
    let mut rows: Vec<[String; 4]> = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let words = schema["description"].as_str().unwrap_or_default();
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            let default = match &schema["default"] {
                Value::Null => String::new(),
                default => format!(" [default: {default}]"),
            };
            [
                visible(name).into_owned(),
                type_of(schema),
                yes(required.contains(&name.as_str())),
                visible(&format!("{words}{default}")).into_owned(),
            ]
        })
        .collect();
    // What must be there comes first.
    rows.sort_by_key(|row| row[2] != "yes");
    rows
}

/// `text`, `list of text`, `one of utf8, base64`.
fn type_of(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        return format!("one of {}", words.join(", "));
    }
    match schema["type"].as_str() {
        Some("string") => "text".into(),
        Some("integer") => "whole number".into(),
        Some("number") => "number".into(),
        Some("boolean") => "true or false".into(),
        Some("array") => format!("list of {}", type_of(&schema["items"])),
        Some("object") => "object".into(),
        _ => "any".into(),
    }
}

/// The arguments of which exactly one is wanted.
fn alternatives(parameters: &Value) -> Option<Vec<&str>> {
    let either = parameters["oneOf"].as_array()?;
    either.iter().map(|one| one["required"][0].as_str()).collect()
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

fn timeout(tool: &Tool) -> String {
    tool.timeout().map(|timeout| HumanDuration(timeout).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_built_in_tool_can_be_shown() {
        for tool in tool::BUILTINS {
            let shown = text(&builtin(tool.name).unwrap());
            assert!(shown.starts_with("name:"), "{shown}");
            assert!(!shown.contains(" any "), "{} has an argument of unknown type\n{shown}", tool.name);
        }
    }

    #[test]
    fn arguments_are_listed_with_what_must_be_there_first() {
        let shown = text(&builtin("fs.read").unwrap());
        let rows: Vec<&str> = shown.lines().skip_while(|line| !line.starts_with("ARGUMENT")).collect();
        let cells: Vec<&str> = rows[1].split_whitespace().take(3).collect();
        assert_eq!(cells, ["path", "text", "yes"], "{shown}");
        assert!(shown.contains("one of utf8, base64"), "{shown}");
        assert!(text(&builtin("cmd.run").unwrap()).contains("exactly one of: "), "{shown}");
        assert!(text(&builtin("host.facts").unwrap()).ends_with("it takes no arguments\n"));
    }

    #[test]
    fn an_unknown_tool_is_not_found_and_the_nearest_named() {
        let failure = builtin("fs.raed").unwrap_err();
        assert_eq!(failure.exit, ExitCode::Unavailable);
    }

    #[test]
    fn of_a_host_it_is_said_what_it_cannot_do_and_why() {
        let mut docker = builtin("docker.pull").unwrap();
        docker.unavailable = Some("the host offers no docker".into());
        let shown = list(&[docker.clone()], true);
        assert!(
            shown.contains(
                "docker.pull  state-mutating  yes    10m      built in  the host offers no docker  "
            ),
            "{shown}"
        );
        assert!(!list(&[docker], false).contains("UNAVAILABLE"));
    }
}
