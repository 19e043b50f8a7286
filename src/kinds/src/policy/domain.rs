//! Domains: `example.com`, `*.example.com` for what is below it, or `*`.

use super::pattern::ANY;

/// The longest name of a host in the domain name system.
const LONGEST: usize = 253;

/// Whether a context may name it.
pub fn is_domain_pattern(text: &str) -> bool {
    text == ANY || is_host(text.strip_prefix("*.").unwrap_or(text))
}

fn is_host(text: &str) -> bool {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= LONGEST && text.split('.').all(label)
}

/// Whether all that `inner` names, be it one host or a pattern, is named by `outer`.
pub fn covers(outer: &str, inner: &str) -> bool {
    match (outer.strip_prefix("*."), inner.strip_prefix("*.")) {
        _ if outer == ANY => true,
        _ if inner == ANY => false,
        (None, None) => outer == inner,
        (None, Some(_)) => false,
        (Some(parent), None) => is_below(inner, parent),
        (Some(parent), Some(other)) => other == parent || is_below(other, parent),
    }
}

fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// A host's name as patterns are compared with it: lower case, without the dot of the root. None: it is no host's name.
pub fn canonical(host: &str) -> Option<String> {
    let host = host.strip_suffix('.').unwrap_or(host);
    is_host(host).then(|| host.to_ascii_lowercase())
}
