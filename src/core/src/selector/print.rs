//! From target to text, in the one canonical form: what is printed parses to the same.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Fragment, LabelTest, MAX_LENGTH, Selector, TagTest, Target};

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "@{node}"),
            Self::Group(group) => write!(f, "group:{group}"),
            Self::All => f.write_str("all"),
            Self::Selector(selector) => selector.fmt(f),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fragment) in self.fragments.iter().enumerate() {
            write!(f, "{}{fragment}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os(os) => write!(f, "os={os}"),
            Self::Arch(arch) => write!(f, "arch={arch}"),
            Self::Tools(tools) => write!(f, "tools={}", tools.join(",")),
            Self::Label(LabelTest::Equals(key, value)) => write!(f, "labels={key}={value}"),
            Self::Label(LabelTest::Exists(key)) => write!(f, "labels=Exists({key})"),
            Self::Label(LabelTest::In(key, values)) => write!(f, "labels=In({key},{})", values.join(",")),
            Self::Tags(test) => write!(f, "tags={test}"),
        }
    }
}

impl fmt::Display for TagTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A tag with the name of a function isn't mistaken for it within one.
            Self::AllOf(tags) => match &tags[..] {
                [tag] if !matches!(tag.as_str(), "AnyOf" | "AllOf" | "NoneOf") => f.write_str(tag),
                _ => write!(f, "AllOf({})", tags.join(",")),
            },
            Self::AnyOf(tags) => write!(f, "AnyOf({})", tags.join(",")),
            Self::NoneOf(tags) => write!(f, "NoneOf({})", tags.join(",")),
        }
    }
}

macro_rules! as_text {
    ($name:ident, $description:literal, $example:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": $description,
                    "minLength": 1,
                    "maxLength": MAX_LENGTH,
                    "examples": [$example],
                })
            }
        }
    };
}

as_text!(
    Target,
    "Hosts: all, @NODE, group:NAME, or conditions that must all hold, such as os=linux tags=AnyOf(prod,staging).",
    "tags=prod os=linux"
);
as_text!(
    Selector,
    "Conditions on hosts that must all hold, such as os=linux tags=AnyOf(prod,staging).",
    "tags=prod os=linux"
);
