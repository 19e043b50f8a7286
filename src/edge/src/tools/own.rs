//! The tools that the host's owner declared: arguments of the call go into the program's, each inside of one.

use std::{collections::BTreeMap, path::PathBuf};

use aegis_kinds::{policy::Grant, tool::ToolDescriptor};
use serde_json::{Map, Value};

use super::{
    call::{Call, Launch, Refused},
    place,
    process::{Directory, Environment, Program},
};
use crate::config::Piece;

/// A tool of the host's own.
#[derive(Debug)]
pub(super) struct Own {
    pub descriptor: ToolDescriptor,
    pub argv: Vec<Vec<Piece>>,
    pub env: BTreeMap<String, String>,
}

impl Own {
    /// The program for a call. The tool itself is granted; what its arguments name is checked here.
    pub fn launch(&self, call: &Call, grant: &Grant, environment: &Environment) -> Result<Launch, Refused> {
        let nothing = Map::new();
        let arguments = call.arguments.as_object().unwrap_or(&nothing);
        let mut paths = Vec::new();
        for (name, value) in arguments {
            let format = self.descriptor.parameters["properties"][name]["format"].as_str();
            let (Some(format), Some(text)) = (format, value.as_str()) else { continue };
            match format {
                "path" => paths.push(place(grant, &call.tool, text)?),
                "hostname" => self.check_domain(grant, name, Some(text))?,
                "uri" => self.check_domain(grant, name, host_of(text))?,
                _ => {}
            }
        }
        let mut argv = Vec::new();
        for entry in &self.argv {
            let options_may_follow = !argv.iter().any(|argument| argument == "--");
            if let Some(argument) = fill(entry, arguments, options_may_follow)? {
                argv.push(argument);
            }
        }
        let program = Program {
            argv,
            directory: Directory::Home(PathBuf::from(environment.home())),
            environment: environment.with(&self.env),
            stdin: None,
            call: call.id.to_string(),
        };
        Ok(Launch { program, directory: None, paths })
    }

    fn check_domain(&self, grant: &Grant, argument: &str, host: Option<&str>) -> Result<(), Refused> {
        if host.is_some_and(|host| grant.allows_domain(host)) {
            return Ok(());
        }
        Err(Refused::new(
            "domain",
            format!(
                "the host in '{argument}' is none that is granted to {}; name another, or grant its domain",
                self.descriptor.name
            ),
        ))
    }
}

/// The host of `scheme://host:port/path`. None: there is none, or the text could be read in two ways.
fn host_of(uri: &str) -> Option<&str> {
    let plain = uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'@');
    let (scheme, rest) = uri.split_once("://").filter(|_| plain)?;
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let authority = rest.split(['/', '?', '#']).next().filter(|_| named)?;
    let host = match authority.split_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        Some(_) => return None,
        None => authority,
    };
    (!host.is_empty()).then_some(host)
}

/// One argument of the program. None: it needs one of the call's that isn't there.
fn fill(
    entry: &[Piece],
    arguments: &Map<String, Value>,
    options_may_follow: bool,
) -> Result<Option<String>, Refused> {
    let mut text = String::new();
    for piece in entry {
        match piece {
            Piece::Text(fixed) => text.push_str(fixed),
            Piece::Argument(name) => {
                let value = match arguments.get(name) {
                    None | Some(Value::Null) => return Ok(None),
                    Some(Value::String(value)) => value.clone(),
                    Some(other) => other.to_string(),
                };
                if value.contains('\0') {
                    return Err(Refused::new("arguments", format!("'{name}' holds NUL; leave it out")));
                }
                let number = arguments.get(name).is_some_and(Value::is_number);
                if text.is_empty() && value.starts_with('-') && options_may_follow && !number {
                    return Err(Refused::new(
                        "arguments",
                        format!(
                            "'{name}' begins with a dash and would be an option; write it otherwise, or put '--' before \
                             it in the tool's argv"
                        ),
                    ));
                }
                text.push_str(&value);
            }
        }
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_uri_is_found_or_nothing_is() {
        for (uri, host) in [
            ("https://example.com", Some("example.com")),
            ("https://example.com:8443/a?b#c", Some("example.com")),
            ("git+ssh://example.com?x", Some("example.com")),
            ("https://user@example.com/", None),
            ("https://good.com\\@evil.com/", None),
            ("https://example.com:80@evil.com", None),
            ("https://[::1]/", None),
            ("https:///x", None),
            ("example.com", None),
            ("https://exa mple.com", None),
            ("1://x", None),
        ] {
            assert_eq!(host_of(uri), host, "{uri}");
        }
    }
}
