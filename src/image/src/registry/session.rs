//! A repository of a registry, asked for manifests and blobs.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, Response, StatusCode, header};
use tokio::sync::Mutex;

use super::{
    auth::{Challenge, basic, token},
    connection::{Ask, Connector, Content},
    credentials::{self, Credentials},
    origin::{Origin, registry_error},
};
use crate::{Digest, ImageError, manifest};

const MOST_REDIRECTS: usize = 5;
/// The longest wait that a registry can ask for when it is asked too often.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// One repository.
#[derive(Clone)]
pub struct Session {
    connector: Connector,
    /// The registry's name, for messages and credentials.
    host: String,
    repository: String,
    origin: Origin,
    /// The header that opened the repository last.
    authorization: Arc<Mutex<Option<String>>>,
}

/// A manifest or an index, as it came.
pub struct Found {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What the registry calls it.
    pub media_type: Option<String>,
}

impl Session {
    /// Prepares to ask; nothing is sent yet.
    pub fn new(connector: Connector, host: &str, repository: &str) -> Result<Self, ImageError> {
        let origin = Origin::of_registry(host, connector.config())?;
        let (host, repository) = (host.to_owned(), repository.to_owned());
        Ok(Self { connector, host, repository, origin, authorization: Arc::default() })
    }

    /// The digest of what a tag means now, if the registry says it without sending it.
    pub async fn head(&self, tag: &str) -> Result<Option<Digest>, ImageError> {
        let path = format!("/v2/{}/manifests/{tag}", self.repository);
        let response = self.ask(&Method::HEAD, &path, Some(manifest::ACCEPTED.join(", "))).await?;
        let Some(response) = response else { return Err(self.not_found(tag)) };
        Ok(digest_header(response.headers()))
    }

    /// The manifest or index with a tag or digest. A digest is verified.
    pub async fn manifest(&self, tag: &str, digest: Option<Digest>, most: u64) -> Result<Found, ImageError> {
        let named = digest.map_or_else(|| tag.to_owned(), |digest| digest.to_string());
        let path = format!("/v2/{}/manifests/{named}", self.repository);
        let what = format!("manifest {}:{named}", self.repository);
        let response = self.ask(&Method::GET, &path, Some(manifest::ACCEPTED.join(", "))).await?;
        let Some(response) = response else { return Err(self.not_found(&named)) };
        let promised = digest.or_else(|| digest_header(response.headers()));
        let media_type = text_header(response.headers(), &header::CONTENT_TYPE);
        let bytes = response.into_body().whole(most).await?;
        let actual = Digest::of(&bytes);
        match promised {
            Some(expected) if expected != actual => Err(ImageError::WrongDigest { what, expected, actual }),
            _ => Ok(Found { bytes, media_type }),
        }
    }

    /// The content of a blob, as it comes.
    pub async fn blob(&self, digest: &Digest, size: u64) -> Result<Content, ImageError> {
        let path = format!("/v2/{}/blobs/{digest}", self.repository);
        let response = self.ask(&Method::GET, &path, None).await?;
        let Some(response) = response else { return Err(self.not_found(&digest.to_string())) };
        let length = text_header(response.headers(), &header::CONTENT_LENGTH)
            .and_then(|text| text.parse::<u64>().ok());
        if length.is_some_and(|length| length != size) {
            return Err(ImageError::WrongSize { what: format!("blob {digest}"), expected: size });
        }
        Ok(response.into_body())
    }

    /// How often something is tried at most.
    pub fn attempts(&self) -> u32 {
        self.connector.config().attempts.max(1)
    }

    fn not_found(&self, named: &str) -> ImageError {
        let separator = if named.starts_with("sha256:") { '@' } else { ':' };
        let reference = format!("{}{separator}{named}", self.repository);
        ImageError::NotFound { reference, place: self.host.clone() }
    }

    /// Asks as often as it takes, within bounds. None: there is no such thing.
    async fn ask(
        &self,
        method: &Method,
        path: &str,
        accept: Option<String>,
    ) -> Result<Option<Response<Content>>, ImageError> {
        let mut attempt = 1;
        loop {
            let (error, wait) = match self.ask_once(method, path, accept.as_ref()).await {
                Ok(response) => match response.status() {
                    status if status.is_success() => return Ok(Some(response)),
                    StatusCode::NOT_FOUND => return Ok(None),
                    status => {
                        let is_transient =
                            status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                        let wait = text_header(response.headers(), &header::RETRY_AFTER)
                            .and_then(|text| text.parse().ok());
                        (registry_error(&self.host, format!("it answers {status}"), is_transient), wait)
                    }
                },
                Err(error) => (error, None),
            };
            if !error.is_transient() || attempt >= self.attempts() {
                return Err(error);
            }
            pause(attempt, wait).await;
            attempt += 1;
        }
    }

    async fn ask_once(
        &self,
        method: &Method,
        path: &str,
        accept: Option<&String>,
    ) -> Result<Response<Content>, ImageError> {
        let known = self.authorization.lock().await.clone();
        let response = self.follow(method, path, accept, known.as_deref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED && response.status() != StatusCode::FORBIDDEN {
            return Ok(response);
        }
        // Also when a header was sent: tokens live for some minutes only.
        let credentials = credentials::find(self.connector.config(), &self.host, &self.repository).await?;
        let had_credentials = credentials.is_some();
        let refused = || ImageError::Unauthorized {
            host: self.host.clone(),
            repository: self.repository.clone(),
            had_credentials,
        };
        let challenge = Challenge::of(response.headers()).ok_or_else(refused)?;
        let authorization = self.authorize(&challenge, credentials.as_ref()).await?.ok_or_else(refused)?;
        let response = self.follow(method, path, accept, Some(&authorization)).await?;
        if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(refused());
        }
        *self.authorization.lock().await = Some(authorization);
        Ok(response)
    }

    async fn authorize(
        &self,
        challenge: &Challenge,
        credentials: Option<&Credentials>,
    ) -> Result<Option<String>, ImageError> {
        match (challenge, credentials) {
            (Challenge::Basic, Some(Credentials::Basic { user, password })) => {
                Ok(Some(basic(user, password)))
            }
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service, scope }, credentials) => {
                let challenge = (realm.as_str(), service.as_deref(), scope.as_deref());
                token(&self.connector, &self.origin, challenge, &self.repository, credentials).await
            }
        }
    }

    /// Follows redirects; credentials stay with the registry.
    async fn follow(
        &self,
        method: &Method,
        path: &str,
        accept: Option<&String>,
        authorization: Option<&str>,
    ) -> Result<Response<Content>, ImageError> {
        let (mut origin, mut path) = (self.origin.clone(), path.to_owned());
        for _ in 0..=MOST_REDIRECTS {
            let authorization = authorization.filter(|_| origin == self.origin);
            let (method, accept) = (method.clone(), accept.cloned());
            let ask = Ask { method, origin: &origin, path: &path, accept, authorization, form: None };
            let response = self.connector.send(ask).await?;
            if !response.status().is_redirection() {
                if origin != self.origin
                    && matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
                {
                    let reason = format!("{} answers {} to its redirect", origin, response.status());
                    return Err(registry_error(&self.host, reason, false));
                }
                return Ok(response);
            }
            let location = text_header(response.headers(), &header::LOCATION).unwrap_or_default();
            let next = if location.starts_with('/') && !location.starts_with("//") {
                Some((origin.clone(), location.clone()))
            } else {
                Origin::of_url(&location)
            };
            let next = next.filter(|(next, _)| origin.may_lead_to(next));
            (origin, path) = next.ok_or_else(|| {
                let shown: String = location.chars().take(200).collect();
                registry_error(&self.host, format!("it redirects to {shown:?}, which isn't followed"), false)
            })?;
        }
        Err(registry_error(&self.host, format!("it redirects more than {MOST_REDIRECTS} times"), false))
    }
}

/// Waits before another attempt: as long as asked for, or a bit longer each time.
pub async fn pause(attempt: u32, asked: Option<u64>) {
    let wait =
        asked.map_or_else(|| Duration::from_millis(200) * 2_u32.pow(attempt.min(5)), Duration::from_secs);
    tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
}

fn text_header(headers: &HeaderMap, name: &http::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn digest_header(headers: &HeaderMap) -> Option<Digest> {
    let value = headers.get("docker-content-digest")?;
    value.to_str().ok()?.parse().ok()
}
