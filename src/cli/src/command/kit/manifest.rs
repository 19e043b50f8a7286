//! A kit's manifest: the bare form, with name, version and image, or a document of the kind Kit.

use aegis_core::Kind as _;
use aegis_engine::{
    declare,
    manifest::{Input, ReadOptions, Sources},
};
use aegis_kinds::{KitConfig, KitSpec};
use aegis_wire::runtime::Kit;
use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;

/// The bare form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bare {
    name: String,
    version: String,
    image: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    config: Option<KitConfig>,
}

/// What of a document of a kind is wanted here.
#[derive(Debug, Deserialize)]
struct Document {
    metadata: Metadata,
    spec: KitSpec,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
}

/// The kit that `text`, the file `path`, describes.
pub fn kit(path: &str, text: &str) -> Result<Kit, Failure> {
    let value: Value = serde_saphyr::from_str(text).map_err(|error| wrong(path, &error.to_string()))?;
    if value.get("kind").is_some() { of_kind(path, text) } else { bare(path, text, &value) }
}

fn bare(path: &str, text: &str, value: &Value) -> Result<Kit, Failure> {
    let missing: Vec<&str> =
        ["name", "version", "image"].into_iter().filter(|field| value.get(field).is_none()).collect();
    if !missing.is_empty() {
        return Err(wrong(path, &format!("{} missing", list(&missing))));
    }
    for field in ["name", "version", "image", "description"] {
        if value.get(field).is_some_and(|value| !value.is_string() && !value.is_null()) {
            return Err(wrong(path, &format!("{field} is no text: write it in quotes")));
        }
    }
    let bare: Bare = serde_saphyr::from_str(text).map_err(|error| wrong(path, &error.to_string()))?;
    let spec = KitSpec {
        version: bare.version,
        image: bare.image,
        description: bare.description,
        config: bare.config,
        target: None,
    };
    aegis_kinds::Kit::check(&bare.name, &spec).map_err(|refusal| {
        let field = refusal.field.map(|field| format!("{field}: ")).unwrap_or_default();
        Failure::invalid(format!("{path}: {field}{}", refusal.message)).hint_if(refusal.help)
    })?;
    made(bare.name, spec)
}

/// Read as `aegis validate` reads it, so that what is wrong is shown where it stands.
fn of_kind(path: &str, text: &str) -> Result<Kit, Failure> {
    let input: Input = path.parse().unwrap_or(Input::Stdin);
    let mut again = text.as_bytes();
    let sources = Sources::read(&[input], &mut again, ReadOptions::default())?;
    let documents = declare::validate(&sources)?;
    let [document] = documents.as_slice() else {
        return Err(Failure::invalid(format!("{path}: there are {} documents", documents.len()))
            .hint(format!("`aegis apply -f {path}` takes them all")));
    };
    if document.key.kind != aegis_kinds::Kit::NAME {
        return Err(Failure::invalid(format!("{path}: {} is no kit", document.key))
            .hint(format!("`aegis apply -f {path}`")));
    }
    let document: Document = serde_saphyr::from_str(text).map_err(|error| wrong(path, &error.to_string()))?;
    if document.spec.target.is_some() {
        return Err(Failure::invalid(format!("{path}: spec.target is for the hosts of a controller"))
            .hint(format!("`aegis apply -f {path}` hands it to them")));
    }
    made(document.metadata.name, document.spec)
}

fn made(name: String, spec: KitSpec) -> Result<Kit, Failure> {
    let config = spec.config.map(serde_json::to_value).transpose();
    Ok(Kit {
        name,
        version: spec.version,
        image: spec.image,
        description: spec.description,
        config: config.map_err(|error| Failure::generic(format!("config: {error}")))?,
        installed_at: None,
    })
}

fn list(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

fn wrong(path: &str, what: &str) -> Failure {
    Failure::invalid(format!("{path}: {what}"))
        .hint("a kit has name, version and image at the top, and may have description and config")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMIGLIA: &str = "\
# name: not this one
name: famiglia
version: \"1.0.0\"
description: Famiglia agent kit
image: ghcr.io/aegis/famiglia:1.0.0
";

    #[test]
    fn the_bare_form_is_that_of_the_reference() {
        let kit = kit("famiglia.yaml", FAMIGLIA).unwrap();
        assert_eq!((kit.name.as_str(), kit.version.as_str()), ("famiglia", "1.0.0"));
        assert_eq!(kit.description.as_deref(), Some("Famiglia agent kit"));
        assert_eq!(kit.config, None);
    }

    #[test]
    fn nested_keys_of_the_same_names_are_something_else() {
        let text = format!(
            "{FAMIGLIA}config:\n  env: {{name: other, version: \"2\"}}\n  requiredSecrets: [API_KEY]\n"
        );
        let kit = kit("k.yaml", &text).unwrap();
        assert_eq!(kit.name, "famiglia");
        let config = kit.config.unwrap();
        assert_eq!(config["env"]["name"], "other");
        assert_eq!(config["requiredSecrets"][0], "API_KEY");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("name: a\n", "version, image are missing"),
            ("name: a\nversion: 1.0\nimage: b\n", "version is no text"),
            ("name: [a]\nversion: \"1\"\nimage: b\n", "name is no text"),
            ("name: a\nversion: \"1\"\nimage: b\nports: [80]\n", "ports"),
            ("name: A B\nversion: \"1\"\nimage: b\n", "k.yaml: "),
            ("- a\n", "are missing"),
            ("name: 'a\n", "k.yaml: "),
            ("", "are missing"),
        ] {
            let failure = kit("k.yaml", text).unwrap_err();
            assert!(failure.message().contains(says), "{text}: {}", failure.message());
            assert_eq!(failure.exit.code(), 2, "{text}");
        }
    }

    #[test]
    fn a_document_of_the_kind_is_taken_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kit.yaml");
        let head = "apiVersion: aegis.dev/v1\nkind: Kit\nmetadata: {name: famiglia}\n";
        let spec = "spec: {version: \"1.0.0\", image: 'ghcr.io/aegis/famiglia:1.0.0'}\n";
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            kit(&path.display().to_string(), text)
        };
        let example = aegis_kinds::find("Kit").unwrap().example;
        assert!(read(example).is_ok(), "{example}");
        let api = example.lines().next().unwrap();
        let text = format!("{head}{spec}").replace("apiVersion: aegis.dev/v1", api);
        assert_eq!(read(&text).unwrap().name, "famiglia");
        let other = format!("{text}---\n{text}").replacen("famiglia}", "other}", 1);
        assert!(read(&other).is_err());
        assert!(read(&text.replace("version: ", "verson: ")).is_err());
    }
}
