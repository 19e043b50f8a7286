//! Credentials from the files that Docker and Podman keep.

use std::{collections::BTreeMap, io, path::Path, process::Stdio, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use super::RegistryConfig;
use crate::{ImageError, manifest};

/// How long a helper may take: some ask their service.
const HELPER_TIMEOUT: Duration = Duration::from_secs(20);

/// What proves who asks. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A refresh token for the token service.
    Identity(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    #[serde(rename = "auth")]
    encoded: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// The credentials for a repository by the first file that has some. A file that isn't there says nothing; one that can't
/// be read is an error, as going on without would end in a refusal that nobody understands.
pub async fn find(
    config: &RegistryConfig,
    host: &str,
    repository: &str,
) -> Result<Option<Credentials>, ImageError> {
    for path in &config.auth_files {
        let text = match tokio::fs::read(path).await {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                continue;
            }
            Err(error) => return Err(ImageError::file(path)(error)),
        };
        let file: File = manifest::parse(&path.display().to_string(), &text)?;
        if let Some(found) = in_file(path, &file, host, repository).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn in_file(
    path: &Path,
    file: &File,
    host: &str,
    repository: &str,
) -> Result<Option<Credentials>, ImageError> {
    let names = names(host, repository);
    let helper = names.iter().find_map(|name| file.cred_helpers.get(name)).or(file.creds_store.as_ref());
    if let Some(helper) = helper {
        let server = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
        if let Some(found) = ask_helper(helper, server).await? {
            return Ok(Some(found));
        }
    }
    let Some(auth) = names.iter().find_map(|name| file.auths.get(name)) else { return Ok(None) };
    if !auth.identitytoken.is_empty() {
        return Ok(Some(Credentials::Identity(auth.identitytoken.clone())));
    }
    if auth.encoded.is_empty() {
        let is_empty = auth.username.is_empty();
        let (user, password) = (auth.username.clone(), auth.password.clone());
        return Ok((!is_empty).then_some(Credentials::Basic { user, password }));
    }
    let decoded = STANDARD.decode(&auth.encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (user, password) = pair.ok_or_else(|| {
        ImageError::malformed(path.display().to_string(), format!("the credentials for {host} can't be read"))
    })?;
    Ok(Some(Credentials::Basic {
        user: user.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
    }))
}

/// The keys under which credentials may stand, the closest first: Podman has them for parts of a registry too.
fn names(host: &str, repository: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut namespace = repository;
    loop {
        names.push(format!("{host}/{namespace}"));
        let Some((shorter, _)) = namespace.rsplit_once('/') else { break };
        namespace = shorter;
    }
    let mut hosts = vec![host];
    if host == "docker.io" {
        hosts.extend(["index.docker.io", "registry-1.docker.io"]);
    }
    for host in hosts {
        names.push(host.to_owned());
        names.extend(["", "/", "/v1/", "/v2/"].map(|path| format!("https://{host}{path}")));
    }
    names
}

async fn ask_helper(helper: &str, server: &str) -> Result<Option<Credentials>, ImageError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    let program = format!("docker-credential-{helper}");
    let failed = |reason: String| ImageError::malformed(program.clone(), reason);
    if !helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(failed("it is no name of a helper".to_owned()));
    }
    let run = async {
        let mut child = Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(server.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = timeout(HELPER_TIMEOUT, run).await.map_err(|_| failed("it takes too long".to_owned()))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        // That is how helpers say that they know nothing.
        return Ok(None);
    }
    let answer: Answer =
        serde_json::from_slice(&output.stdout).map_err(|_| failed("it answers no JSON".to_owned()))?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Credentials::Identity(answer.secret),
        _ => Credentials::Basic { user: answer.username, password: answer.secret },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(text: &str, host: &str, repository: &str) -> Option<Credentials> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");
        std::fs::write(&path, text).unwrap();
        let missing = directory.path().join("missing/auth.json");
        let config = RegistryConfig { auth_files: vec![missing, path], ..RegistryConfig::default() };
        find(&config, host, repository).await.unwrap()
    }

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic { user: user.to_owned(), password: password.to_owned() }
    }

    #[tokio::test]
    async fn the_closest_entry_of_a_file_wins() {
        // user:pass:word, other:word
        let text = r#"{"auths": {
            "ghcr.io": {"auth": "dXNlcjpwYXNzOndvcmQ="},
            "ghcr.io/team": {"auth": "b3RoZXI6d29yZA=="},
            "https://index.docker.io/v1/": {"username": "d", "password": "p"},
            "quay.io": {"identitytoken": "refresh"},
            "empty.example": {}
        }}"#;
        assert_eq!(found(text, "ghcr.io", "a/b").await, Some(basic("user", "pass:word")));
        assert_eq!(found(text, "ghcr.io", "team/app").await, Some(basic("other", "word")));
        assert_eq!(found(text, "docker.io", "library/alpine").await, Some(basic("d", "p")));
        assert_eq!(found(text, "quay.io", "x").await, Some(Credentials::Identity("refresh".to_owned())));
        assert_eq!(found(text, "empty.example", "x").await, None);
        assert_eq!(found(text, "unknown.example", "x").await, None);
        assert_eq!(format!("{:?}", basic("user", "secret")), "Credentials");
    }
}
