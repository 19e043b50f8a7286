//! `NO_PROXY`: which endpoints are dialled directly.

use std::net::IpAddr;

use aegis_wire::Endpoint;
use ipnet::IpNet;

/// Whether the list exempts the endpoint. Entries are separated by commas or white space:
///
/// - `*`: everything
/// - `example.com`: the name itself and all below it; `.example.com`, `*.example.com`: only those below it
/// - `10.0.0.1`, `[::1]`: an address; `10.0.0.0/8`: a network; both only match endpoints that are given as addresses
/// - each of the above names with `:PORT`: only on this port
pub fn exempts(list: &str, endpoint: &Endpoint) -> bool {
    list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()).any(|entry| matches(entry, endpoint))
}

fn matches(entry: &str, endpoint: &Endpoint) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(network) = entry.parse::<IpNet>() {
        return endpoint.ip().is_some_and(|ip| network.contains(&unmapped(ip)));
    }
    let (host, port) = split_port(entry);
    if port.is_some_and(|port| port != endpoint.port()) {
        return false;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return endpoint.ip().is_some_and(|ip| unmapped(ip) == unmapped(address));
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let name = endpoint.host().trim_end_matches('.').to_ascii_lowercase();
    let below =
        |domain: &str| name.strip_suffix(domain).is_some_and(|front| front.len() > 1 && front.ends_with('.'));
    match host.strip_prefix("*.").or_else(|| host.strip_prefix('.')) {
        Some(domain) => below(domain),
        None => !host.is_empty() && (name == host || below(&host)),
    }
}

/// `host:8080` and `[::1]:8080` in two; a bare IPv6 address has no port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some(rest) = entry.strip_prefix('[') {
        let (address, behind) = rest.split_once(']').unwrap_or((rest, ""));
        return (address, behind.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

/// `::ffff:10.0.0.1` is `10.0.0.1`.
fn unmapped(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_no_proxy() {
        for (list, endpoint, exempt) in [
            ("", "a.example:443", false),
            ("*", "a.example:443", true),
            ("example", "a.example:443", true),
            ("example", "example:443", true),
            ("example", "badexample:443", false),
            (".example", "a.b.example:443", true),
            (".example", "example:443", false),
            ("*.example", "a.example:443", true),
            ("*.example", "example:443", false),
            ("A.Example", "a.eXample:443", true),
            ("a.example.", "a.example:443", true),
            ("a.example:443", "a.example:443", true),
            ("a.example:80", "a.example:443", false),
            (".example:443", "a.example:443", true),
            ("x, a.example ,y", "a.example:443", true),
            ("x a.example", "a.example:443", true),
            ("10.0.0.1", "10.0.0.1:443", true),
            ("10.0.0.1", "10.0.0.11:443", false),
            ("10.0.0.1:443", "10.0.0.1:443", true),
            ("10.0.0.1:80", "10.0.0.1:443", false),
            ("0.0.0.1", "10.0.0.1:443", false),
            ("10.0.0.0/8", "10.9.8.7:443", true),
            ("10.0.0.0/8", "11.0.0.1:443", false),
            ("10.0.0.0/8", "ten.example:443", false),
            ("10.0.0.0/33", "10.0.0.1:443", false),
            ("fd00::/8", "[fd00::1]:443", true),
            ("::1", "[::1]:443", true),
            ("[::1]:443", "[::1]:443", true),
            ("[::1]:80", "[::1]:443", false),
            ("10.0.0.0/8", "[::ffff:10.0.0.1]:443", true),
            (":443", "a.example:443", false),
        ] {
            let to: Endpoint = endpoint.parse().unwrap();
            assert_eq!(exempts(list, &to), exempt, "NO_PROXY='{list}' {endpoint}");
        }
    }
}
