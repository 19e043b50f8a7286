//! What the router itself answers: plain text for people, JSON for programs that ask for it.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS},
};
use http_body_util::Full;

use super::route::NoRoute;
use crate::upstream::OpenError;

/// Why the router answers instead of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The answer's status.
    pub status: StatusCode,
    /// A word for programs.
    pub code: &'static str,
    /// A sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    location: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None, location: None }
    }

    /// The answer.
    pub fn answer(self, asked: &HeaderMap) -> Response<Full<Bytes>> {
        let (kind, body) = if wants_json(asked) {
            let error = serde_json::json!({ "code": self.code, "message": self.message, "hint": self.hint });
            ("application/json", format!("{}\n", serde_json::json!({ "error": error })))
        } else {
            let hint = self.hint.map(|hint| format!("\n{hint}\n")).unwrap_or_default();
            ("text/plain; charset=utf-8", format!("aegis: {}\n{hint}", self.message))
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(place) = self.location.and_then(|place| HeaderValue::try_from(place).ok()) {
            headers.insert(LOCATION, place);
        }
        response
    }
}

impl From<NoRoute> for Problem {
    fn from(reason: NoRoute) -> Self {
        let code = match &reason {
            NoRoute::NoHost => "bad_request",
            NoRoute::ForeignHost(_) => "foreign_host",
            NoRoute::Unknown(_) | NoRoute::Nothing => "not_found",
            NoRoute::NoPorts(_) => "no_ports",
            NoRoute::Several(_) => "several_apps",
            NoRoute::Moved(_) => "moved",
        };
        let location = match &reason {
            NoRoute::Moved(place) => Some(place.clone()),
            _ => None,
        };
        let (status, hint, message) = (reason.status(), reason.hint(), reason.to_string());
        Self { status, code, message, hint, location }
    }
}

impl Problem {
    /// There is no connection to an app.
    pub fn not_open(name: &str, reason: OpenError) -> Self {
        let message = reason.to_string();
        match reason {
            OpenError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "not_found", message),
            OpenError::NoPorts(_) | OpenError::NoSuchPort { .. } => {
                Self::new(StatusCode::NOT_FOUND, "no_ports", message)
            }
            OpenError::Failed { hint, .. } => Self {
                hint,
                ..Self::new(
                    StatusCode::BAD_GATEWAY,
                    "app_failed",
                    format!("'{name}' can't be reached: {message}"),
                )
            },
            OpenError::TimedOut(_) => Self {
                hint: Some("aegis instance list".into()),
                ..Self::new(
                    StatusCode::GATEWAY_TIMEOUT,
                    "timed_out",
                    format!("'{name}' can't be reached: {message}"),
                )
            },
        }
    }
}

fn wants_json(asked: &HeaderMap) -> bool {
    let accepted = asked.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds =
        accepted.flat_map(|value| value.split(',')).map(|kind| kind.split(';').next().unwrap_or("").trim());
    kinds.any(|kind| {
        kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
    })
}
