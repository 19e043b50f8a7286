//! `--tool`, `--arg`, `--args-json`: which tool, and its arguments read by its schema.

use aegis_core::{HumanDuration, fleet::LONGEST_DEADLINE, nearest::nearest, selector::Target};
use aegis_kinds::tool::{self, ArgumentError, BUILTINS};
use aegis_wire::operator::{ListNodes, ListTools, OperatorClient, Tool};
use bytes::Bytes;
use clap::Args;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Which tool, with which arguments.
#[derive(Debug, Clone, Args)]
pub struct ToolArgs {
    /// The tool, such as cmd.run; `aegis edge tools ls` lists them
    #[arg(long, value_name = "NAME")]
    pub tool: String,
    /// An argument of the tool; may be repeated, also for each entry of a list
    #[arg(long = "arg", value_name = "K=V", value_parser = pair, allow_hyphen_values = true)]
    pub args: Vec<(String, String)>,
    /// All arguments as a JSON object; - reads it from standard input, so that it stands in no process list
    #[arg(long, value_name = "JSON", conflicts_with = "args")]
    pub args_json: Option<String>,
}

/// The arguments, as far as they can be read without asking.
#[derive(Debug)]
pub enum Arguments {
    /// They are read, and where the tool is built in they are as its schema says.
    Read(Value),
    /// What they mean is up to the schema of a tool that only a host knows.
    Open(Vec<(String, String)>),
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, such as command=true".to_owned()),
    }
}

/// A deadline of a target: more than nothing and at most a day.
pub fn deadline(text: &str) -> Result<HumanDuration, String> {
    let duration: HumanDuration =
        text.parse().map_err(|error: aegis_core::duration::InvalidDuration| error.to_string())?;
    if duration.0.is_zero() || duration.0 > LONGEST_DEADLINE {
        return Err(format!("a deadline is more than 0s and at most {}", HumanDuration(LONGEST_DEADLINE)));
    }
    Ok(duration)
}

impl ToolArgs {
    /// Reads what can be read without asking anybody.
    pub fn read(&self) -> Result<Arguments, Failure> {
        self.known()?;
        let builtin = tool::find(&self.tool);
        let arguments = match (&self.args_json, builtin) {
            (Some(json), _) => Value::Object(object(json)?),
            (None, Some(builtin)) => self.by_schema(&builtin.parameters(), &self.args)?,
            (None, None) => return Ok(Arguments::Open(self.args.clone())),
        };
        if let Some(builtin) = builtin {
            tool::check_arguments(&builtin.parameters(), &arguments).map_err(|error| self.wrong(&error))?;
        }
        Ok(Arguments::Read(arguments))
    }

    /// The arguments as they are sent. A tool that isn't built in is asked of the first host that is meant; where that
    /// host doesn't know it, values are text, and the controller has the last word.
    pub async fn settle(
        &self,
        arguments: Arguments,
        client: &OperatorClient,
        target: Option<&Target>,
    ) -> Result<Bytes, Failure> {
        let value = match arguments {
            Arguments::Read(value) => value,
            Arguments::Open(pairs) if pairs.is_empty() => Value::Object(Map::new()),
            Arguments::Open(pairs) => match self.of_a_host(client, target).await? {
                Some(tool) => self.by_schema(&tool.parameters, &pairs)?,
                None => pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect(),
            },
        };
        Ok(value.to_string().into())
    }

    async fn of_a_host(
        &self,
        client: &OperatorClient,
        target: Option<&Target>,
    ) -> Result<Option<Tool>, Failure> {
        let nodes = match target {
            Some(target) => client.resolve_target(&target.to_string()).await?.nodes,
            None => client.list_nodes(ListNodes { connected: true, ..ListNodes::default() }).await?,
        };
        let Some(node) = nodes.first() else { return Ok(None) };
        let tools = client.list_tools(ListTools { node: Some(node.node_id.to_string()) }).await?;
        Ok(tools.into_iter().find(|tool| tool.name == self.tool))
    }

    /// A name that no host can have given to a tool of its own is misspelt.
    fn known(&self) -> Result<(), Failure> {
        let is_ours = |builtin: &tool::Builtin| tool::family(builtin.name) == tool::family(&self.tool);
        let only_ours = !self.tool.contains('.') || BUILTINS.iter().any(is_ours);
        if tool::find(&self.tool).is_some() || !only_ours {
            return Ok(());
        }
        let near = nearest(&self.tool, BUILTINS.iter().map(|builtin| builtin.name));
        Err(Failure::invalid(format!("--tool: '{}' is no tool", self.tool)).hint(match near {
            Some(near) => format!("did you mean {near}?"),
            None => "`aegis edge tools ls` lists them".to_owned(),
        }))
    }

    fn by_schema(&self, parameters: &Value, pairs: &[(String, String)]) -> Result<Value, Failure> {
        tool::from_pairs(parameters, pairs).map(Value::Object).map_err(|error| self.wrong(&error))
    }

    fn wrong(&self, error: &ArgumentError) -> Failure {
        let flag = if self.args_json.is_some() { "--args-json" } else { "--arg" };
        Failure::invalid(format!("{flag}: {error}"))
            .hint(format!("`aegis edge tools show {}` explains its arguments", self.tool))
    }
}

fn object(json: &str) -> Result<Map<String, Value>, Failure> {
    let text = match json {
        "-" => std::io::read_to_string(std::io::stdin())
            .map_err(|error| Failure::generic(format!("standard input: {error}")))?,
        json => json.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::invalid(format!("--args-json: {error}"))
            .hint(r#"write an object, such as {"command": "true"}"#)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use aegis_core::ExitCode;
    use serde_json::json;

    use super::*;

    fn args(tool: &str, args: &[&str], json: Option<&str>) -> ToolArgs {
        ToolArgs {
            tool: tool.to_owned(),
            args: args.iter().map(|text| pair(text).unwrap()).collect(),
            args_json: json.map(str::to_owned),
        }
    }

    fn read(tool: &str, pairs: &[&str], json: Option<&str>) -> Result<Value, Failure> {
        args(tool, pairs, json).read().map(|arguments| match arguments {
            Arguments::Read(value) => value,
            Arguments::Open(pairs) => json!({ "open": pairs.len() }),
        })
    }

    #[test]
    fn arguments_of_built_in_tools_are_read_by_their_schema() {
        for (tool, pairs, json, wanted) in [
            (
                "cmd.run",
                vec!["command=echo", "args=-n", "args=a=b"],
                None,
                json!({"command": "echo", "args": ["-n", "a=b"]}),
            ),
            ("cmd.run", vec![], Some(r#"{"cmd": "true"}"#), json!({"cmd": "true"})),
            (
                "fs.read",
                vec!["path=/etc/hosts", "limit=10"],
                None,
                json!({"path": "/etc/hosts", "limit": 10}),
            ),
            ("host.facts", vec![], None, json!({})),
            ("backup.start", vec!["level=1"], None, json!({"open": 1})),
            ("backup.start", vec![], Some(r#"{"level": 1}"#), json!({"level": 1})),
        ] {
            assert_eq!(read(tool, &pairs, json).unwrap(), wanted, "{tool} {pairs:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_before_anybody_is_asked() {
        for (tool, pairs, json, place) in [
            ("cmd.rum", vec![], None, "--tool: 'cmd.rum' is no tool"),
            ("shel", vec![], None, "--tool: 'shel' is no tool"),
            ("fs.nothing", vec![], None, "--tool: 'fs.nothing' is no tool"),
            ("cmd.run", vec!["comand=true"], None, "--arg: 'comand'"),
            ("fs.read", vec![], None, "--arg: 'path'"),
            ("fs.read", vec!["path=/x", "limit=ten"], None, "--arg: 'limit'"),
            ("fs.read", vec![], Some(r#"{"path": 1}"#), "--args-json: 'path'"),
            ("fs.read", vec![], Some("[1]"), "--args-json: "),
            ("fs.read", vec![], Some("{"), "--args-json: "),
        ] {
            let failure = read(tool, &pairs, json).unwrap_err();
            assert_eq!(failure.exit, ExitCode::Invalid);
            assert!(failure.message().starts_with(place), "{}", failure.message());
        }
        assert!(pair("=x").is_err() && pair("x").is_err());
    }

    #[test]
    fn a_deadline_is_more_than_nothing_and_at_most_a_day() {
        assert_eq!(deadline("1ms").unwrap().to_string(), "1ms");
        assert_eq!(deadline("24h").unwrap().to_string(), "1d");
        for wrong in ["0", "0s", "-5s", "24h1ms", "60", "soon"] {
            assert!(deadline(wrong).is_err(), "{wrong}");
        }
    }
}
