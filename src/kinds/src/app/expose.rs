//! Ports of a guest that can be reached: `80`, `8080:80` or `{guest: 80, host: 8080}`.

use std::{borrow::Cow, collections::BTreeSet, fmt, str::FromStr};

use aegis_core::Refusal;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A port of the guest, and perhaps which port of the host's loopback leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExposedPort {
    /// The guest's port.
    pub guest: u16,
    /// The host's; none: a free one, which stays the same.
    pub host: Option<u16>,
}

const FORM: &str = "write GUEST or HOST:GUEST, such as 80 or 8080:80; ports are 1 to 65535";

impl FromStr for ExposedPort {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| text.parse::<u16>().ok().filter(|p| *p > 0 && !text.starts_with('+'));
        let parsed = match text.split_once(':') {
            None => port(text).map(|guest| Self { guest, host: None }),
            Some((host, guest)) => {
                port(guest).zip(port(host)).map(|(guest, host)| Self { guest, host: Some(host) })
            }
        };
        parsed.ok_or_else(|| {
            let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
            format!("'{shown}' is no port: {FORM}")
        })
    }
}

impl fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Some(host) => write!(f, "{host}:{}", self.guest),
            None => write!(f, "{}", self.guest),
        }
    }
}

impl Serialize for ExposedPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.host {
            Some(_) => serializer.collect_str(self),
            None => serializer.serialize_u16(self.guest),
        }
    }
}

impl<'de> Deserialize<'de> for ExposedPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Port;
        impl<'de> de::Visitor<'de> for Port {
            type Value = ExposedPort;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port")
            }
            fn visit_u64<E: de::Error>(self, port: u64) -> Result<ExposedPort, E> {
                port.to_string().parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, port: i64) -> Result<ExposedPort, E> {
                port.to_string().parse().map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ExposedPort, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ExposedPort, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Fields {
                    guest: u16,
                    #[serde(default)]
                    host: Option<u16>,
                }
                let Fields { guest, host } = Fields::deserialize(de::value::MapAccessDeserializer::new(map))?;
                if guest == 0 || host == Some(0) {
                    return Err(de::Error::custom(format_args!("0 is no port: {FORM}")));
                }
                Ok(ExposedPort { guest, host })
            }
        }
        deserializer.deserialize_any(Port)
    }
}

impl JsonSchema for ExposedPort {
    fn schema_name() -> Cow<'static, str> {
        "ExposedPort".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let port = || schemars::json_schema!({ "type": "integer", "minimum": 1, "maximum": 65535 });
        schemars::json_schema!({
            "description": "A port of the guest: GUEST, HOST:GUEST, or an object. Without HOST a free port of the host's loopback leads to it.",
            "oneOf": [
                port(),
                { "type": "string", "pattern": "^([0-9]{1,5}:)?[0-9]{1,5}$" },
                {
                    "type": "object",
                    "required": ["guest"],
                    "properties": { "guest": port(), "host": port() },
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// No port stands twice.
pub(crate) fn check(field: &str, ports: &[ExposedPort]) -> Result<(), Refusal> {
    let (mut guests, mut hosts) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let twice = if guests.insert(port.guest) {
            port.host.filter(|host| !hosts.insert(*host)).map(|host| format!("the host's port {host}"))
        } else {
            Some(format!("port {}", port.guest))
        };
        if let Some(twice) = twice {
            return Err(Refusal::at(format!("{field}[{index}]"), format!("{twice} is exposed twice"))
                .help("keep one of the two"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_read_in_every_form_and_print_in_the_shortest() {
        for (text, guest, host, printed) in [
            ("80", 80, None, "80"),
            ("\"80\"", 80, None, "80"),
            ("\"8080:80\"", 80, Some(8080), "\"8080:80\""),
            (r#"{"guest": 80}"#, 80, None, "80"),
            (r#"{"guest": 80, "host": 8080}"#, 80, Some(8080), "\"8080:80\""),
        ] {
            let port: ExposedPort = serde_json::from_str(text).unwrap();
            assert_eq!(port, ExposedPort { guest, host }, "{text}");
            assert_eq!(serde_json::to_string(&port).unwrap(), printed);
        }
        for text in ["0", "-1", "65536", "\"\"", "\"a\"", "\"80:\"", "\"0:80\"", r#"{"guest": 0}"#, "true"] {
            assert!(serde_json::from_str::<ExposedPort>(text).is_err(), "{text}");
        }
    }
}
