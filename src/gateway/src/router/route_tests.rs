//! Which request goes where.

#![allow(clippy::unwrap_used, reason = "tests")]

use http::{HeaderValue, header::HeaderName};

use super::*;

fn target(name: &str, ports: &[u16]) -> Target {
    Target { id: format!("app-{name}"), name: name.into(), ports: ports.into() }
}

type Headers<'a> = &'a [(&'a str, &'a str)];

fn ask(uri: &str, headers: Headers<'_>, targets: &[Target]) -> Result<Route, NoRoute> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        });
    find(Asked { version: Version::HTTP_11, uri: &uri.parse().unwrap(), headers: &headers }, targets)
}

fn name_of(result: Result<Route, NoRoute>) -> String {
    result.map_or_else(|error| format!("{} {error}", error.status().as_u16()), |route| route.name)
}

#[test]
fn the_order_is_host_then_path_then_header_then_the_only_one() {
    let two = [target("web", &[80, 81]), target("api", &[8080]), target("mute", &[])];
    let cases: &[(&str, Headers<'_>, &str)] = &[
        ("/", &[("host", "web.localhost:8099")], "web"),
        ("/", &[("host", "WEB.LOCALHOST.")], "web"),
        ("/", &[("host", "app-api.localhost")], "api"),
        ("/app/api/", &[("host", "web.localhost")], "web"),
        ("/app/api/", &[("host", "localhost:8099"), ("x-aegis-app", "web")], "api"),
        ("/app/api/x?y=1", &[("host", "127.0.0.1")], "api"),
        ("/app/api", &[("host", "127.0.0.1")], "308 the app is at /app/api/"),
        ("/app/api?x=1", &[("host", "127.0.0.1")], "308 the app is at /app/api/?x=1"),
        ("/", &[("host", "[::1]:8099"), ("x-aegis-app", "web")], "web"),
        ("/", &[("host", "localhost")], "503 several apps are served: web, api"),
        ("/", &[("host", "nobody.localhost")], "404 no app is called 'nobody'"),
        ("/app/nobody/", &[("host", "localhost")], "404 no app is called 'nobody'"),
        ("/app/", &[("host", "localhost")], "404 no app is called ''"),
        ("/", &[("host", "localhost"), ("x-aegis-app", "nobody")], "404 no app is called 'nobody'"),
        ("/", &[("host", "mute.localhost")], "404 'mute' exposes no port"),
        ("http://api.localhost/", &[("host", "web.localhost")], "api"),
    ];
    for (uri, headers, expected) in cases {
        assert_eq!(&name_of(ask(uri, headers, &two)), expected, "{uri} {headers:?}");
    }
}

#[test]
fn one_app_needs_no_name_but_a_wrong_name_is_never_answered_by_it() {
    let one = [target("web", &[80]), target("mute", &[])];
    assert_eq!(name_of(ask("/", &[("host", "localhost")], &one)), "web");
    assert_eq!(name_of(ask("/", &[("host", "x.localhost")], &one)), "404 no app is called 'x'");
    assert_eq!(name_of(ask("/app/x/", &[("host", "localhost")], &one)), "404 no app is called 'x'");
    assert_eq!(name_of(ask("/", &[("host", "localhost")], &one[1..])), "404 'mute' exposes no port");
    assert_eq!(name_of(ask("/", &[("host", "localhost")], &[])), "404 no app is served");
}

#[test]
fn names_that_others_resolve_to_loopback_are_not_answered() {
    let one = [target("web", &[80])];
    for host in [
        "evil.example",
        "evil.example:8099",
        "10.0.0.1",
        "localhost.evil.example",
        "notlocalhost",
        "[2001:db8::1]",
    ] {
        assert_eq!(
            ask("/", &[("host", host)], &one).unwrap_err().status(),
            StatusCode::MISDIRECTED_REQUEST,
            "{host}"
        );
    }
    assert_eq!(
        ask("http://evil.example/", &[("host", "localhost")], &one).unwrap_err().status().as_u16(),
        421
    );
    for host in ["127.0.0.1", "127.9.9.9:80", "[::1]", "[::ffff:127.0.0.1]", "localhost"] {
        assert_eq!(name_of(ask("/", &[("host", host)], &one)), "web", "{host}");
    }
}

#[test]
fn a_request_has_one_host() {
    let one = [target("web", &[80])];
    assert_eq!(ask("/", &[], &one), Err(NoRoute::NoHost));
    assert_eq!(ask("/", &[("host", "localhost"), ("host", "web.localhost")], &one), Err(NoRoute::NoHost));
    assert_eq!(ask("/", &[("host", "a b")], &one), Err(NoRoute::NoHost));
    let old = Asked { version: Version::HTTP_10, uri: &"/".parse().unwrap(), headers: &HeaderMap::new() };
    assert_eq!(name_of(find(old, &one)), "web");
}

#[test]
fn pages_of_other_sites_are_told_from_our_own() {
    let origin = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ORIGIN, text.parse().unwrap());
        is_foreign(&headers)
    };
    for own in ["http://localhost:8099", "http://web.localhost", "http://127.0.0.1:8099", "http://[::1]:1"] {
        assert!(!origin(own), "{own}");
    }
    for foreign in
        ["https://evil.example", "null", "http://localhost.evil.example", "http://10.0.0.1", "file://", ""]
    {
        assert!(origin(foreign), "{foreign}");
    }
    // What isn't a browser says nothing.
    assert!(!is_foreign(&HeaderMap::new()));
}
