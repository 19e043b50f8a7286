//! Apps, releases, secrets, kits and images.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{instance::Expose, task::RunOptions};

/// `POST /v1/apps`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApp {
    /// Its name.
    pub name: String,
    /// Its image; it may come from the kit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A kit that it takes image, defaults and required secrets from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kit: Option<String>,
    /// The program and its arguments; they may come from the kit.
    #[serde(default)]
    pub command: Vec<String>,
    /// What can be reached from outside.
    #[serde(default)]
    pub expose: Vec<Expose>,
    /// How its guests are made.
    #[serde(default)]
    pub options: RunOptions,
}

/// `PATCH /v1/apps/{app}`: what is there is changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateApp {
    /// Its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The program and its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// What can be reached from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expose: Option<Vec<Expose>>,
}

/// An app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct App {
    /// Its id: `app-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The kit that it takes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kit: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What can be reached from outside.
    pub expose: Vec<Expose>,
    /// Whether it is kept serving: declared so by a manifest.
    pub serve: bool,
    /// Where a declared app stands, in one line; empty when nothing is declared of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// When it was created.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
}

/// `POST /v1/apps/{app}/publish`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Publish {
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A release: an app's image, command and ports as they were published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// Its id: `rel-…`.
    pub id: String,
    /// The digest of the image: `sha256:…`.
    pub image_digest: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it was published.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
}

/// `PUT /v1/secrets/{key}` and `PUT /v1/apps/{app}/secrets/{key}`. There is no way to read a value back.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecret {
    /// The value.
    pub value: String,
}

impl std::fmt::Debug for PutSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PutSecret([redacted])")
    }
}

/// The names of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretNames {
    /// In order.
    pub names: Vec<String>,
}

/// A kit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kit {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its image.
    pub image: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Defaults and required secrets for apps that name it: the `config` of the kind `Kit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<serde_json::Value>,
    /// When it was installed; left out when it is being installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub installed_at: Option<Timestamp>,
}

/// A cached image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// The references under which it was pulled.
    pub references: Vec<String>,
    /// Its digest.
    pub digest: String,
    /// Bytes of its layers and root file systems on the disk.
    pub size: u64,
    /// When it was last pulled.
    #[schemars(with = "String")]
    pub pulled_at: Timestamp,
    /// Whether a release or an instance needs it.
    pub in_use: bool,
}

/// `POST /v1/apps/{app}/rollback`. Answers the release that is current from then on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rollback {
    /// The release to go back to; none: the one before the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// What `POST /v1/images/prune` removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pruned {
    /// The digests of the images.
    pub images: Vec<String>,
    /// The bytes that are free now.
    pub freed: u64,
}

/// What `POST /v1/secrets/rotate` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rotated {
    /// How many values were sealed anew.
    pub sealed: u64,
}
