//! What of a message's headers goes on to the next hop, and what is said about this one.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    uri::PathAndQuery,
};

use super::route::{APP_HEADER, Route};

/// Headers that are about one connection (RFC 9110 section 7.6.1), besides those that `Connection` lists.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authorization"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The protocol that the message asks or agrees to go on with.
pub fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = listed(headers).any(|name| name.eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| asks).cloned()
}

/// Leaves the headers that go on. The length of a body goes on with it in hyper, which frames each message anew: a length that
/// came together with a transfer coding is dropped, so that two hops can't disagree where the message ends.
pub fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = listed(headers).filter_map(|name| name.parse().ok()).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        // `Connection: host` would have the next hop guess.
        if name != HOST && name != CONTENT_LENGTH {
            headers.remove(name);
        }
    }
}

/// Asks for, or agrees to, another protocol.
pub fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Says to the app how the request came.
pub fn forwarded(headers: &mut HeaderMap, uri: &Uri, peer: IpAddr, route: &Route) {
    headers.remove(APP_HEADER);
    let host = uri
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
        .or_else(|| headers.get(HOST).cloned())
        .unwrap_or_else(|| HeaderValue::from_static("localhost"));
    headers.insert(HOST, host.clone());
    headers.insert("x-forwarded-host", host);
    headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
    let earlier: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let peer = peer.to_canonical().to_string();
    let all = [earlier.as_slice(), &[&peer]].concat().join(", ");
    if let Ok(value) = HeaderValue::from_str(&all) {
        headers.insert("x-forwarded-for", value);
    }
    headers.remove("x-forwarded-prefix");
    if let Some(value) = route.prefix.as_deref().and_then(|prefix| HeaderValue::from_str(prefix).ok()) {
        headers.insert("x-forwarded-prefix", value);
    }
}

/// The request's target as the app sees it: in origin form, without the prefix. `*` stays.
pub fn target(uri: &Uri, route: &Route) -> Uri {
    let whole = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let cut = route.prefix.as_deref().and_then(|prefix| whole.strip_prefix(prefix)).unwrap_or(whole);
    cut.parse().unwrap_or_else(|_| Uri::from_static("/"))
}

fn listed(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn what_is_about_one_connection_stays_there() {
        let mut all = headers(&[
            ("connection", "close, X-Mine, host, content-length"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("keep-alive", "5"),
            ("host", "web.localhost"),
            ("content-length", "3"),
            ("accept", "*/*"),
        ]);
        assert_eq!(upgrade(&all), None, "Connection doesn't list it");
        strip(&mut all);
        assert_eq!(all, headers(&[("host", "web.localhost"), ("content-length", "3"), ("accept", "*/*")]));
        let mut both = headers(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
        strip(&mut both);
        assert!(both.is_empty());
    }

    #[test]
    fn the_app_hears_where_the_request_came_from() {
        let route = Route { id: "a".into(), name: "web".into(), port: 80, prefix: Some("/app/web".into()) };
        let mut all = headers(&[
            ("host", "localhost:8099"),
            ("x-forwarded-for", "10.1.1.1"),
            ("x-aegis-app", "web"),
            ("x-forwarded-proto", "https"),
        ]);
        forwarded(&mut all, &Uri::from_static("/app/web/x"), "::ffff:127.0.0.1".parse().unwrap(), &route);
        let expected = [
            ("host", "localhost:8099"),
            ("x-forwarded-host", "localhost:8099"),
            ("x-forwarded-for", "10.1.1.1, 127.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-prefix", "/app/web"),
        ];
        assert_eq!(all, headers(&expected));
    }

    #[test]
    fn the_prefix_is_cut_and_the_rest_is_left_as_it_is() {
        let route = Route { id: "a".into(), name: "web".into(), port: 80, prefix: Some("/app/web".into()) };
        for (given, expected) in [
            ("/app/web/", "/"),
            ("/app/web/a%2Fb//c?d=/e", "/a%2Fb//c?d=/e"),
            ("http://localhost/app/web/x", "/x"),
        ] {
            assert_eq!(target(&given.parse().unwrap(), &route).to_string(), expected);
        }
        let plain = Route { prefix: None, ..route };
        assert_eq!(target(&Uri::from_static("*"), &plain).to_string(), "*");
    }
}
