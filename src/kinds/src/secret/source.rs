//! Where a secret's value comes from, and what is kept of it.

use std::{borrow::Cow, fmt, str::FromStr};

use aegis_core::{Secret as Hidden, id::InvalidName};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// Where the value comes from. It is read on the machine where `aegis` runs, before anything is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ValueFrom {
    /// A variable of the environment.
    Env(String),
    /// A file; a relative path begins at the manifest's directory. A newline at its end is not a part of the value.
    File(String),
    /// Standard input, all of it: `stdin: true`.
    Stdin(bool),
    /// A file that is encrypted with age, or its text in armour. It is opened with the identities of `--identity`.
    Age(String),
    /// A field of a secret in Vault's key-value store, version 2.
    Vault(VaultField),
}

/// A field of a secret in Vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VaultField {
    /// Where the store is mounted.
    #[serde(default = "default_mount", skip_serializing_if = "is_default_mount")]
    pub mount: String,
    /// The secret's path in the store.
    pub path: String,
    /// The field of the secret.
    pub field: String,
}

fn default_mount() -> String {
    "secret".into()
}

fn is_default_mount(mount: &str) -> bool {
    mount == "secret"
}

/// A value that stands in a manifest. It is never shown and never written.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Literal(pub Hidden<String>);

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl JsonSchema for Literal {
    fn schema_name() -> Cow<'static, str> {
        "Literal".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

/// What is kept of a value: a digest with a key that only the daemon has, so that it can be compared and not guessed.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ValueDigest(Box<str>);

const PREFIX: &str = "hmac-sha256:";

impl ValueDigest {
    /// Of the bytes of an HMAC.
    pub fn new(mac: &[u8; 32]) -> Self {
        let hex: String = mac.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect();
        Self(format!("{PREFIX}{hex}").into())
    }
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn digit(nibble: u8) -> char {
    char::from_digit(nibble.into(), 16).unwrap_or('0')
}

impl FromStr for ValueDigest {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_hex = |hex: &str| hex.len() == 64 && hex.bytes().all(|b| b"0123456789abcdef".contains(&b));
        if text.strip_prefix(PREFIX).is_some_and(is_hex) {
            return Ok(Self(text.into()));
        }
        // What stands there could be a value by mistake, so it isn't repeated.
        Err(InvalidName {
            what: "digest", given: "…".into(), rule: "it is `hmac-sha256:` and 64 hex digits"
        })
    }
}

impl TryFrom<String> for ValueDigest {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ValueDigest> for String {
    fn from(digest: ValueDigest) -> String {
        digest.0.into()
    }
}

impl fmt::Debug for ValueDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for ValueDigest {
    fn schema_name() -> Cow<'static, str> {
        "ValueDigest".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^hmac-sha256:[0-9a-f]{64}$" })
    }
}
