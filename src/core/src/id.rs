//! Names of things, each with its own type, so that one can't be passed for another.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is wrong with a name, and what a right one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is not a valid {what}: {rule}")]
pub struct InvalidName {
    /// What was being named, such as "tenant".
    pub what: &'static str,
    /// The text that was given.
    pub given: String,
    /// What a valid one looks like.
    pub rule: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub(crate) Box<str>);

        impl $name {
            /// Checks `text` against the rule of this kind of name.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text.into_boxed_str()))
                } else {
                    Err(InvalidName { what: $what, given: text, rule: $rule })
                }
            }
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.into()
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use name_type;

name_type!(
    /// A host's identity: `n-` and the first 20 hex digits of SHA-256 over its public key at enrolment
    /// (1-product.md, decision 1). It stays when the key rotates.
    NodeId, "node id", "it is 'n-' and 20 hex digits",
    |t| t.strip_prefix("n-").is_some_and(|d| d.len() == 20 && is_lower_hex(d))
);
name_type!(
    /// Who a thing belongs to: `u-…` personal, `t-…` team, else a slug (1-product.md, decision 2).
    TenantId, "tenant", "it is 1 to 63 of a-z, 0-9 and '-'",
    |t| (1..=63).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);
name_type!(
    /// The name of a declared object, unique for its kind in a tenant: a DNS-like label.
    ObjectName, "name", "it is 1 to 253 of a-z, A-Z, 0-9, '-', '_' and '.', and begins and ends with a letter or digit",
    |t| (1..=253).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && t.as_bytes()[0].is_ascii_alphanumeric()
        && t.as_bytes()[t.len() - 1].is_ascii_alphanumeric()
);
name_type!(
    /// A flat classifier that operators set on a host.
    Tag, "tag", "it is 1 to 63 of a-z, A-Z, 0-9, '-', '_', '.', '/' and ':', and begins with a letter or digit",
    |t| (1..=63).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:".contains(&b))
        && t.as_bytes()[0].is_ascii_alphanumeric()
);
name_type!(
    /// Who declared an element: the name of a manifest source, or `cli` for imperative commands.
    Owner, "owner", "it is 1 to 63 of a-z, A-Z, 0-9, '-', '_' and '.'",
    |t| (1..=63).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
);

pub(crate) fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl NodeId {
    /// The id of a host that enrols with this Ed25519 public key.
    pub fn of_public_key(key: &[u8; 32]) -> Self {
        Self(format!("n-{}", &hex::encode(Sha256::digest(key))[..20]).into_boxed_str())
    }

    /// Whether `text` is a prefix that may stand for an id: `n-` and at least four digits (decision 1).
    pub fn is_prefix(text: &str) -> bool {
        text.strip_prefix("n-").is_some_and(|d| (4..=20).contains(&d.len()) && is_lower_hex(d))
    }
}

impl Owner {
    /// The owner of everything that an imperative command added.
    pub const CLI: &'static str = "cli";

    /// The owner of what imperative commands add.
    pub fn cli() -> Self {
        Self(Self::CLI.into())
    }
    /// Whether this is the owner of imperative changes.
    pub fn is_cli(&self) -> bool {
        &*self.0 == Self::CLI
    }
}

/// A point in a store's history. It only rises; 0 is before the first write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which object: its kind and its name, written `EdgeGroup/web`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    /// The kind's name, such as `EdgeGroup`.
    pub kind: std::borrow::Cow<'static, str>,
    /// The object's name.
    pub name: String,
}

impl ObjectKey {
    /// The object `name` of the kind called `kind`.
    pub fn new(kind: impl Into<std::borrow::Cow<'static, str>>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_is_the_digest_of_its_key() {
        let id = NodeId::of_public_key(&[7; 32]);
        assert_eq!(id, NodeId::new(id.to_string()).unwrap());
        assert_eq!(id.as_str().len(), 22);
        assert_ne!(id, NodeId::of_public_key(&[8; 32]));
    }

    #[test]
    fn names_are_checked() {
        assert!(NodeId::new("n-7A3b2f00000000000000").is_err());
        assert!(TenantId::new("u-8d1c").is_ok());
        assert!(TenantId::new("Team").is_err());
        assert!(Tag::new("").is_err());
        assert!(Tag::new("-x").is_err());
        assert!(ObjectName::new("a..b").is_ok());
        assert!(ObjectName::new("-a").is_err());
        let error = Tag::new("no spaces").unwrap_err();
        assert!(error.to_string().contains("'no spaces' is not a valid tag"), "{error}");
    }

    #[test]
    fn a_prefix_has_at_least_four_digits() {
        assert!(NodeId::is_prefix("n-7a3b"));
        assert!(!NodeId::is_prefix("n-7a3"));
        assert!(!NodeId::is_prefix("web-1"));
    }
}
