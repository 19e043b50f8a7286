//! An app together with its kit: what really runs.

use std::collections::BTreeMap;

use super::{AppSpec, ExposedPort, Resources};
use crate::KitSpec;

/// What an app comes to when its kit has filled in what it doesn't say itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EffectiveApp {
    /// The image.
    pub image: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The guest's ports that can be reached.
    pub expose: Vec<ExposedPort>,
    /// Variables: the app's win over the kit's.
    pub env: BTreeMap<String, String>,
    /// Limits, each the app's own or else the kit's.
    pub resources: Resources,
    /// Secrets that must be there before it boots, the app's own or the workspace's.
    pub required_secrets: Vec<String>,
}

impl AppSpec {
    /// The app with what `kit` adds to it. `kit` is the one that it names, if it names one.
    pub fn with_kit(&self, kit: Option<&KitSpec>) -> EffectiveApp {
        let config = kit.and_then(|kit| kit.config.clone()).unwrap_or_default();
        let or = |own: &[String], other: Vec<String>| if own.is_empty() { other } else { own.to_vec() };
        let (own, other) = (self.resources.clone().unwrap_or_default(), config.resources.unwrap_or_default());
        let mut env = config.env;
        env.extend(self.env.clone());
        EffectiveApp {
            image: self.image.clone().or_else(|| kit.map(|kit| kit.image.clone())).unwrap_or_default(),
            command: or(&self.command, config.command),
            expose: if self.expose.is_empty() { config.expose } else { self.expose.clone() },
            env,
            resources: Resources {
                memory: own.memory.or(other.memory),
                cpus: own.cpus.or(other.cpus),
                disk: own.disk.or(other.disk),
                pids: own.pids.or(other.pids),
            },
            required_secrets: config.required_secrets.iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apps_own_word_wins_and_the_kit_fills_in() {
        let kit: KitSpec = serde_json::from_str(
            r#"{"version": "1", "image": "kit:1", "config": {"command": ["serve"], "expose": [80],
                "env": {"A": "kit", "B": "kit"}, "resources": {"cpus": 2, "pids": 9}, "requiredSecrets": ["K"]}}"#,
        )
        .unwrap();
        let app: AppSpec = serde_json::from_str(
            r#"{"kit": "k", "env": {"A": "app"}, "resources": {"cpus": 1}, "command": ["own"]}"#,
        )
        .unwrap();
        let effective = app.with_kit(Some(&kit));
        assert_eq!((effective.image.as_str(), effective.command), ("kit:1", vec!["own".to_owned()]));
        assert_eq!(effective.expose, [ExposedPort { guest: 80, host: None }]);
        assert_eq!(
            effective.env.into_iter().collect::<Vec<_>>(),
            [("A", "app"), ("B", "kit")].map(|(k, v)| (k.into(), v.into()))
        );
        assert_eq!((effective.resources.cpus, effective.resources.pids), (Some(1), Some(9)));
        assert_eq!(effective.required_secrets, ["K"]);
    }
}
