//! From text to [`EdgeConfig`]: the form of the file, its fields, then the rules that types can't say.

use std::{fs, io, path::Path, sync::Arc};

use aegis_core::{
    Kind, Refusal,
    diagnostic::{Diagnostic, Place},
    nearest::nearest,
};
use aegis_kinds::SecurityContext;
use serde::de::DeserializeOwned;
use serde_saphyr::Error as YamlError;

use super::{ConfigError, EdgeConfig, NodeConfig, NodeSpec};
use crate::{state::StateError, tools::check_variables};

/// More than this at once is a mistake.
const MOST_CONCURRENT_TOOLS: u16 = 1000;
/// A config is written by hand; what is larger isn't one.
const LARGEST: u64 = 1 << 20;

/// Reads and checks the config file at `path`.
pub fn load(path: &Path) -> Result<EdgeConfig, ConfigError> {
    parse(&read_text(path)?, &path.display().to_string())
}

/// The text of the file.
pub fn read_text(path: &Path) -> Result<String, ConfigError> {
    let fail = |error| ConfigError::Read(StateError::new("read", path, error));
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > LARGEST => {
            return Err(fail(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB")));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ConfigError::Missing(path.to_path_buf()));
        }
        Err(error) => return Err(fail(error)),
    }
    fs::read_to_string(path).map_err(fail)
}

/// Reads and checks the text of a config file; `source` is what errors call it.
pub fn parse(text: &str, source: &str) -> Result<EdgeConfig, ConfigError> {
    let config = if is_manifest(text) {
        typed::<NodeConfig>(text, source).map_err(ConfigError::Invalid)?.spec.cluster.edge
    } else {
        typed::<NodeSpec>(text, source).map_err(ConfigError::Invalid)?.cluster.edge
    };
    check(&config, text, source).map_err(ConfigError::Invalid)?;
    Ok(config)
}

/// Whether the file is a manifest rather than a bare block: it has one of a manifest's own top-level fields.
fn is_manifest(text: &str) -> bool {
    const OWN: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
    text.lines().any(|line| {
        let key = line.trim_start_matches(['{', '\u{feff}', ' ']).split(':').next().unwrap_or_default();
        let at_top = !line.starts_with(' ');
        at_top && OWN.contains(&key.trim().trim_matches(['"', '\'']))
    })
}

fn typed<T: DeserializeOwned>(text: &str, source: &str) -> Result<T, Box<Diagnostic>> {
    serde_saphyr::from_str(text).map_err(|error| Box::new(diagnose(error.without_snippet(), text, source)))
}

/// The parser's error in our words, with its place in the file.
fn diagnose(error: &YamlError, text: &str, source: &str) -> Diagnostic {
    let (message, length, help) = match error {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            let help = nearest(field, expected.iter().copied()).map_or_else(
                || format!("the fields here are {}", expected.join(", ")),
                |near| format!("did you mean '{near}'?"),
            );
            (format!("unknown field '{field}'"), field.chars().count(), Some(help))
        }
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            let help = nearest(variant, expected.iter().copied()).map_or_else(
                || format!("it can be {}", expected.join(", ")),
                |near| format!("did you mean '{near}'?"),
            );
            (format!("unknown value '{variant}'"), variant.chars().count(), Some(help))
        }
        YamlError::SerdeMissingField { field, .. } => (format!("the field '{field}' is missing"), 1, None),
        YamlError::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("(not a text)");
            (format!("the key '{key}' stands twice"), key.chars().count(), None)
        }
        YamlError::SerdeInvalidType { unexpected, expected, .. } => {
            (format!("expected {expected}, found {unexpected}"), 1, None)
        }
        other => {
            let plain = other.to_string();
            // The parser appends the position, which is said by the place already.
            let message = plain.lines().next().unwrap_or_default();
            let message = message.split(" at line ").next().unwrap_or(message).trim_end_matches(['.', ',']);
            (message.to_owned(), 1, None)
        }
    };
    let mut diagnostic = Diagnostic::error(message);
    diagnostic.help = help;
    match error.location().filter(|location| location.line() > 0) {
        Some(location) => {
            let line = usize::try_from(location.line()).unwrap_or(usize::MAX);
            let column = usize::try_from(location.column()).unwrap_or(usize::MAX);
            let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            diagnostic.at(Place::in_line(Arc::from(source), line, column, length, shown))
        }
        None => diagnostic.at(Place::in_text(Arc::from(source), text, 0..0)),
    }
}

/// The rules that the types don't say.
fn check(config: &EdgeConfig, text: &str, source: &str) -> Result<(), Box<Diagnostic>> {
    let at = |diagnostic: Diagnostic, word: &str| Box::new(diagnostic.at(place_of(word, text, source)));
    for (key, value) in &config.labels {
        if !is_word(key) {
            let error = Diagnostic::error(format!("'{key}' is not a valid label"));
            return Err(at(error.help("a label is 1 to 63 of a-z, A-Z, 0-9, '-', '_', '.' and '/'"), key));
        }
        if value.chars().count() > 253 || value.chars().any(char::is_control) {
            let error = Diagnostic::error(format!("the value of the label '{key}' is not valid"));
            return Err(at(error.help("a value is one line of up to 253 characters"), key));
        }
    }
    for tool in config.local_tools.iter().flatten() {
        if !is_word(tool) {
            let error = Diagnostic::error(format!("'{tool}' is not a valid tool name"));
            return Err(at(
                error.help("a tool is 1 to 63 of a-z, A-Z, 0-9, '-', '_', '.' and '/'"),
                "localTools",
            ));
        }
    }
    if let Some(name) = &config.name {
        let valid = (1..=63).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !valid {
            let error = Diagnostic::error(format!("'{name}' is not a valid host name"));
            return Err(at(error.help("it is 1 to 63 of a-z, A-Z, 0-9, '-' and '.'"), "name"));
        }
    }
    if let Some(endpoint) = &config.endpoint {
        if endpoint.is_wildcard() {
            let error = Diagnostic::error(format!("nobody can connect to {endpoint}"));
            return Err(at(error.help("write the controller's own address and port"), "endpoint"));
        }
        if config.plaintext && !endpoint.is_loopback() {
            let error =
                Diagnostic::error(format!("plaintext is for loopback addresses only, not for {endpoint}"));
            return Err(at(error.help("remove 'plaintext: true'"), "plaintext"));
        }
    }
    if let Some(policy) = &config.local_policy {
        SecurityContext::check("local-policy", policy)
            .map_err(|refusal| at(in_words(refusal), "localPolicy"))?;
    }
    check_tools(config, &at)
}

/// What tools may do here, and those that the host's owner declares.
fn check_tools(
    config: &EdgeConfig,
    at: &dyn Fn(Diagnostic, &str) -> Box<Diagnostic>,
) -> Result<(), Box<Diagnostic>> {
    for path in config.mount_points.iter().flatten() {
        let climbs = path.split('/').any(|part| part == "..");
        if !path.starts_with('/') || climbs || path.chars().any(char::is_control) {
            let error = Diagnostic::error(format!("'{path}' is no absolute path without '..'"));
            return Err(at(error.help("write a path such as /srv"), "mountPoints"));
        }
    }
    if config.max_concurrent_tools.is_some_and(|most| !(1..=MOST_CONCURRENT_TOOLS).contains(&most)) {
        let error = Diagnostic::error("the number of concurrent tools is out of bounds");
        return Err(at(error.help("write a number from 1 to 1000"), "maxConcurrentTools"));
    }
    for (index, tool) in config.tools.iter().enumerate() {
        let refuse = |refusal: Refusal| {
            let mut error = in_words(refusal);
            error.message = format!("tools[{index}].{}", error.message);
            at(error, "tools")
        };
        tool.checked().map_err(refuse)?;
        check_variables(&tool.env).map_err(|message| refuse(Refusal::at("env", message)))?;
        if config.tools[..index].iter().any(|other| other.name == tool.name) {
            return Err(refuse(Refusal::at("name", format!("'{}' stands twice", tool.name))));
        }
    }
    Ok(())
}

fn in_words(refusal: Refusal) -> Diagnostic {
    let message = match refusal.field {
        Some(field) => format!("{field}: {}", refusal.message),
        None => refusal.message,
    };
    let mut error = Diagnostic::error(message);
    error.help = refusal.help;
    error
}

/// What selectors can name as a key or a tool: without the characters that their grammar uses.
fn is_word(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
}

/// Where the key `word` stands, or the file's begin.
fn place_of(word: &str, text: &str, source: &str) -> Place {
    const QUOTES: [char; 2] = ['"', '\''];
    let is_key = |at: &usize| {
        let before = text[..*at].trim_end_matches(QUOTES).chars().next_back();
        let behind = text[at + word.len()..].trim_start_matches(QUOTES).trim_start_matches(' ');
        before.is_none_or(|c| c.is_whitespace() || c == '{' || c == ',') && behind.starts_with(':')
    };
    let start = text.match_indices(word).map(|(at, _)| at).find(is_key);
    let span = start.map_or(0..0, |start| start..start + word.len());
    Place::in_text(Arc::from(source), text, span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LogFormat, LogLevel};

    fn fails(text: &str) -> Diagnostic {
        match parse(text, "aegis-config.yaml") {
            Err(ConfigError::Invalid(diagnostic)) => *diagnostic,
            other => panic!("{other:?}"),
        }
    }

    const FINGERPRINT: &str = "ab01ab01ab01ab01ab01ab01ab01ab01ab01ab01ab01ab01ab01ab01ab01ab01";

    #[test]
    fn both_forms_of_the_file_give_the_same() {
        let block = format!(
            "cluster:\n  edge:\n    endpoint: relay.example:443\n    caFingerprint: {FINGERPRINT}\n    tenant: u-8d1c\n    \
             name: web-1\n    labels: {{region: home, rack: \"7\"}}\n    localTools: [shell, docker]\n    \
             localPolicy:\n      capabilities: [{{tools: [fs.read], paths: [/srv]}}]\n      deny: [shell]\n    \
             log: {{level: debug, format: json}}\n"
        );
        let bare = parse(&block, "x").unwrap();
        let nested = format!("  {}", block.trim_end().replace('\n', "\n  "));
        let manifest =
            format!("apiVersion: aegis.dev/v1\nkind: NodeConfig\nmetadata: {{name: web-1}}\nspec:\n{nested}");
        assert_eq!(parse(&manifest, "x").unwrap(), bare);
        assert_eq!(bare.endpoint.as_ref().unwrap().to_string(), "relay.example:443");
        assert_eq!(bare.labels["rack"], "7");
        assert_eq!(bare.local_tools.unwrap(), ["shell", "docker"]);
        let log = bare.log.unwrap();
        assert_eq!((log.level, log.format), (LogLevel::Debug, LogFormat::Json));
        assert!(!bare.plaintext);
    }

    #[test]
    fn an_unknown_field_is_named_with_its_place_and_the_nearest() {
        let error = fails("cluster:\n  edge:\n    endpoint: a:1\n    lables: {a: b}\n");
        assert_eq!(error.to_string(), "aegis-config.yaml:4:5: error: unknown field 'lables'");
        assert_eq!(error.help.unwrap(), "did you mean 'labels'?");
        let error = fails("cluster:\n  edge: {}\ntags: [a]\n");
        assert_eq!(error.to_string(), "aegis-config.yaml:3:1: error: unknown field 'tags'");
    }

    #[test]
    fn what_the_rules_forbid_is_refused_with_its_place() {
        for (text, place, message) in [
            ("endpoint: 0.0.0.0:50056", "3:5", "nobody can connect"),
            ("endpoint: example", "3:15", "no endpoint"),
            ("endpoint: ctl.example:1\n    plaintext: true", "4:5", "loopback addresses only"),
            ("labels: {'a=b': c}", "3:15", "not a valid label"),
            ("localTools: [shell, 'no tool']", "3:5", "not a valid tool name"),
            ("name: no_host", "3:5", "not a valid host name"),
            ("tenant: No", "3:13", "not a valid tenant"),
            ("localPolicy: {capabilities: [{tools: []}]}", "3:5", "grants nothing"),
            ("mountPoints: [srv]", "3:5", "no absolute path"),
            ("mountPoints: [/srv/../etc]", "3:5", "no absolute path"),
            ("maxConcurrentTools: 0", "3:5", "out of bounds"),
            ("tools: [{name: fs.x, class: read-only, argv: [x]}]", "3:5", "tools[0].name: "),
            ("tools: [{name: a.x, class: read-only, argv: [x, '{y}']}]", "3:5", "tools[0].argv[1]: "),
            ("tools: [{name: a.x, class: read-only, argv: [x], env: {LD_PRELOAD: y}}]", "3:5", "LD_PRELOAD"),
            ("tools: [{name: a.x, class: harmless, argv: [x]}]", "3:32", "unknown value 'harmless'"),
            (
                "tools: [{name: a.x, class: read-only, argv: [x]}, {name: a.x, class: read-only, argv: [y]}]",
                "3:5",
                "stands twice",
            ),
            ("log: {level: verbose}", "3:18", "unknown value 'verbose'"),
            ("endpoint: a:1\n    endpoint: b:1", "4:5", "stands twice"),
        ] {
            let error = fails(&format!("cluster:\n  edge:\n    {text}\n"));
            let shown = error.to_string();
            assert!(shown.starts_with(&format!("aegis-config.yaml:{place}: ")), "{text}: {shown}");
            assert!(shown.contains(message), "{text}: {shown}");
        }
        assert!(
            parse("cluster:\n  edge: {endpoint: 'localhost:1', plaintext: true}\n", "x").unwrap().plaintext
        );
    }

    #[test]
    fn the_schema_knows_every_field_of_the_block() {
        let schema = serde_json::to_value(schemars::schema_for!(NodeConfig)).unwrap();
        let block = &schema["$defs"]["EdgeConfig"];
        let fields: Vec<_> = block["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let want = [
            "apps",
            "caFingerprint",
            "endpoint",
            "labels",
            "localPolicy",
            "localTools",
            "log",
            "maxConcurrentTools",
            "mountPoints",
            "name",
            "plaintext",
            "tenant",
            "tools",
        ];
        assert_eq!(fields, want);
        assert_eq!(block["additionalProperties"], false);
    }

    #[test]
    fn garbage_is_an_error_with_a_place() {
        for text in ["", "a: [", "\tx", "cluster: 1", "kind: EdgeGroup\nspec: {}", "- a", "a: b\n---\nc: d"] {
            assert!(fails(text).place.is_some(), "{text}");
        }
    }
}
