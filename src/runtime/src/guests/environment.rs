//! The environment of a guest's processes: its own, then what was said of it, then an app's secrets, then the
//! workspace's. Read anew at each start.

use std::collections::{BTreeMap, BTreeSet};

use aegis_wire::runtime::RuntimeError;

use crate::{
    record::{AppOf, RunSpec},
    secrets::{Scope, SecretError, Secrets},
};

/// What every process has.
const BASE: [(&str, &str); 3] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("TERM", "xterm-256color"),
];

/// The environment of what `run` says. An app gets all of its own secrets and all of the workspace's; what has no app
/// gets those of the workspace that it names. One that is named or required and isn't there is an error.
pub(crate) fn environment(
    secrets: &Secrets,
    app: Option<&AppOf>,
    run: &RunSpec,
) -> Result<BTreeMap<String, String>, RuntimeError> {
    let mut environment: BTreeMap<String, String> =
        BASE.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut found = BTreeSet::new();
    let mut add = |scope: Scope<'_>, wanted: &dyn Fn(&str) -> bool| -> Result<(), RuntimeError> {
        for (name, value) in secrets.values(scope)? {
            if wanted(&name) {
                environment.insert(name.clone(), value.to_string());
                found.insert(name);
            }
        }
        Ok(())
    };
    let named =
        |name: &str| run.options.secrets.iter().chain(&run.required_secrets).any(|secret| secret == name);
    match app {
        Some(app) => {
            add(Scope::Workspace, &|_| true)?;
            add(Scope::App(&app.id), &|_| true)?;
        }
        None => add(Scope::Workspace, &named)?,
    }
    for (name, value) in &run.options.env {
        environment.insert(name.clone(), value.clone());
        found.insert(name.clone());
    }
    let missing: Vec<&str> = run
        .options
        .secrets
        .iter()
        .chain(&run.required_secrets)
        .filter(|name| !found.contains(*name))
        .map(String::as_str)
        .collect();
    match (missing.as_slice(), app) {
        ([], _) => Ok(environment),
        ([first, ..], Some(app)) => Err(missing_secrets(&missing)
            .hint(format!("set it: `aegis secret set {} {first} --stdin`", app.name))),
        ([first, ..], None) => {
            Err(missing_secrets(&missing)
                .hint(format!("set it: `aegis secret set-workspace {first} --stdin`")))
        }
    }
}

fn missing_secrets(names: &[&str]) -> RuntimeError {
    let are = if names.len() == 1 { "secret is" } else { "secrets are" };
    RuntimeError::new(422, "missing_secret", format!("required {are} missing: {}", names.join(", ")))
}

impl From<SecretError> for RuntimeError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Name(_) | SecretError::Value(_) => Self::invalid(error.to_string()),
            _ => Self::internal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use aegis_store::{Batch, MemoryStore, Store};

    use super::*;

    fn app() -> AppOf {
        AppOf { name: "web".into(), id: "app-1".into(), release: "rel-1".into() }
    }

    fn secrets(values: &[(Scope<'_>, &str, &str)]) -> (tempfile::TempDir, Secrets) {
        let home = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let secrets = Secrets::open(home.path().join("master.key"), store.clone()).unwrap();
        for (scope, name, value) in values {
            let mut batch = Batch::new();
            secrets.put(&mut batch, *scope, name, value).unwrap();
            store.commit(batch).wait().unwrap();
        }
        (home, secrets)
    }

    #[test]
    fn explicit_wins_over_the_apps_and_that_over_the_workspaces() {
        let (_home, secrets) = secrets(&[
            (Scope::Workspace, "A", "workspace"),
            (Scope::Workspace, "B", "workspace"),
            (Scope::Workspace, "C", "workspace"),
            (Scope::App("app-1"), "B", "app"),
            (Scope::App("app-1"), "C", "app"),
            (Scope::App("app-2"), "D", "another app"),
        ]);
        let mut run = RunSpec::default();
        run.options.env.insert("C".into(), "explicit".into());
        let all = environment(&secrets, Some(&app()), &run).unwrap();
        let of = |name: &str| all.get(name).map(String::as_str);
        assert_eq!(
            [of("A"), of("B"), of("C"), of("D")],
            [Some("workspace"), Some("app"), Some("explicit"), None]
        );
        assert!(of("PATH").is_some() && of("HOME").is_some() && of("TERM").is_some());
        assert!(!all.keys().any(|name| name.starts_with("AEGIS_")));
        let task = environment(&secrets, None, &RunSpec::default()).unwrap();
        assert!(!task.contains_key("A"), "a task gets what it names");
    }

    #[test]
    fn what_is_required_and_missing_is_named_with_the_way_out() {
        let (_home, secrets) = secrets(&[(Scope::Workspace, "A", "1")]);
        let mut run = RunSpec { required_secrets: vec!["A".into(), "TOKEN".into()], ..RunSpec::default() };
        let error = environment(&secrets, Some(&app()), &run).unwrap_err();
        assert_eq!(error.code, "missing_secret");
        assert!(error.message.ends_with("missing: TOKEN"), "{error}");
        assert!(error.hint.unwrap().contains("aegis secret set web TOKEN"));
        run.options.env.insert("TOKEN".into(), "given".into());
        environment(&secrets, Some(&app()), &run).unwrap();
        run.options.secrets = vec!["NONE".into()];
        assert!(environment(&secrets, None, &run).is_err());
    }
}
