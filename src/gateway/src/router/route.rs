//! Which app a request is for: by host name, by path, by header, or the only one there is. Pure, so that a table can test it.

use std::net::IpAddr;

use http::{
    HeaderMap, StatusCode, Uri, Version,
    header::{HOST, ORIGIN},
    uri::Authority,
};

use crate::upstream::Target;

/// The header that names an app.
pub const APP_HEADER: &str = "x-aegis-app";

/// What the path of an app begins with.
const PREFIX: &str = "/app/";

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Of the target.
    pub id: String,
    /// Of the target, for messages.
    pub name: String,
    /// The guest's port.
    pub port: u16,
    /// What is cut off from the path: `/app/NAME`.
    pub prefix: Option<String>,
}

/// Why a request goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// HTTP/1.1 asks for exactly one host.
    #[error("the request has no valid Host header")]
    NoHost,
    /// A name that somebody else's DNS leads here: answering it would let any web page read what apps say.
    #[error("this router doesn't answer for the host '{0}'")]
    ForeignHost(String),
    /// An app was named that isn't there.
    #[error("no app is called '{0}'")]
    Unknown(String),
    /// The app has no port that the router could use.
    #[error("'{0}' exposes no port")]
    NoPorts(String),
    /// There is nothing.
    #[error("no app is served")]
    Nothing,
    /// There are several and none was named.
    #[error("several apps are served: {}", .0.join(", "))]
    Several(Vec<String>),
    /// `/app/NAME`: relative links only work below `/app/NAME/`.
    #[error("the app is at {0}")]
    Moved(String),
}

impl NoRoute {
    /// The status that says so.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NoHost => StatusCode::BAD_REQUEST,
            Self::ForeignHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Unknown(_) | Self::NoPorts(_) | Self::Nothing => StatusCode::NOT_FOUND,
            Self::Several(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Moved(_) => StatusCode::PERMANENT_REDIRECT,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoHost | Self::Moved(_) => None,
            Self::ForeignHost(_) => Some("use http://NAME.localhost:PORT/ or http://127.0.0.1:PORT/".into()),
            Self::Unknown(_) => Some("aegis app list".into()),
            Self::NoPorts(name) => Some(format!("aegis app info {name}")),
            Self::Nothing => Some("aegis app serve NAME".into()),
            Self::Several(names) => {
                let first = names.first().map_or("NAME", String::as_str);
                Some(format!(
                    "name one: the host {first}.localhost, the path /app/{first}/, or the header X-Aegis-App: {first}"
                ))
            }
        }
    }
}

/// What the request says, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its version: 1.0 needs no host.
    pub version: Version,
    /// Its target; in absolute form it overrules the host.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

/// Where the request goes, or why nowhere.
pub fn find(asked: Asked<'_>, targets: &[Target]) -> Result<Route, NoRoute> {
    if let Host::App(name) = host(asked)? {
        return named(&name, targets, None);
    }
    if let Some(rest) = asked.uri.path().strip_prefix(PREFIX) {
        let (name, below) = rest.split_once('/').map_or((rest, false), |(name, _)| (name, true));
        let route = named(name, targets, Some(format!("{PREFIX}{name}")))?;
        if !below {
            let query = asked.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            return Err(NoRoute::Moved(format!("{PREFIX}{name}/{query}")));
        }
        return Ok(route);
    }
    if let Some(value) = asked.headers.get(APP_HEADER) {
        let name = value.to_str().map_err(|_| NoRoute::Unknown("?".into()))?;
        return named(name.trim(), targets, None);
    }
    let with_ports: Vec<&Target> = targets.iter().filter(|target| !target.ports.is_empty()).collect();
    match (with_ports.as_slice(), targets) {
        ([only], _) => to(only, None),
        ([], [first, ..]) => Err(NoRoute::NoPorts(first.name.clone())),
        ([], []) => Err(NoRoute::Nothing),
        (several, _) => Err(NoRoute::Several(several.iter().map(|target| target.name.clone()).collect())),
    }
}

enum Host {
    App(String),
    Loopback,
}

fn host(asked: Asked<'_>) -> Result<Host, NoRoute> {
    let mut headers = asked.headers.get_all(HOST).iter();
    let (one, another) = (headers.next(), headers.next());
    let authority = match (asked.uri.authority(), one) {
        _ if another.is_some() => return Err(NoRoute::NoHost),
        (Some(authority), _) => authority.clone(),
        (None, Some(value)) => Authority::try_from(value.as_bytes()).map_err(|_| NoRoute::NoHost)?,
        (None, None) if asked.version == Version::HTTP_10 => return Ok(Host::Loopback),
        (None, None) => return Err(NoRoute::NoHost),
    };
    of_name(authority.host())
}

/// Whether a page of another site asks. Browsers let any page open a `WebSocket` anywhere and only say whose page it is.
pub fn is_foreign(headers: &HeaderMap) -> bool {
    headers.get_all(ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        origin.as_ref().and_then(Uri::host).is_none_or(|host| of_name(host).is_err())
    })
}

fn of_name(host: &str) -> Result<Host, NoRoute> {
    // A name with a dot at its end is the same name.
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host == "localhost" {
        return Ok(Host::Loopback);
    }
    if let Some(name) = host.strip_suffix(".localhost") {
        return Ok(Host::App(name.to_owned()));
    }
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match literal {
        Ok(address) if address.to_canonical().is_loopback() => Ok(Host::Loopback),
        _ => Err(NoRoute::ForeignHost(host)),
    }
}

fn named(name: &str, targets: &[Target], prefix: Option<String>) -> Result<Route, NoRoute> {
    targets
        .iter()
        .find(|target| target.name.eq_ignore_ascii_case(name) || target.id == name)
        .ok_or_else(|| NoRoute::Unknown(shown(name)))
        .and_then(|target| to(target, prefix))
}

fn to(target: &Target, prefix: Option<String>) -> Result<Route, NoRoute> {
    let port = target.ports.first().ok_or_else(|| NoRoute::NoPorts(target.name.clone()))?;
    Ok(Route { id: target.id.clone(), name: target.name.clone(), port: *port, prefix })
}

/// What a client sent, short enough and harmless in a message.
fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
