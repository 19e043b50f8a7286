//! Paths by their text alone. Symlinks are the kernel's matter: it resolves each path beneath its root.

/// The path without empty and `.` parts. None: it is relative, or climbs, and grants nothing.
pub fn normal(path: &str) -> Option<String> {
    let absolute = path.starts_with('/') && !path.contains('\0');
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (absolute && !parts.contains(&"..")).then(|| format!("/{}", parts.join("/")))
}

/// What of `path` is below `root`, which is normal; empty when it is the root itself. A path that climbs, or that is
/// relative, is below nothing.
pub fn below<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    if !path.starts_with('/') || path.contains('\0') || path.split('/').any(|part| part == "..") {
        return None;
    }
    let mut rest = skip(path);
    for part in root.split('/').filter(|part| !part.is_empty()) {
        rest = rest.strip_prefix(part)?;
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        rest = skip(rest);
    }
    Some(rest)
}

/// Without the slashes and `.` parts that it begins with.
fn skip(path: &str) -> &str {
    let mut rest = path.trim_start_matches('/');
    while let Some(tail) = rest.strip_prefix('.').filter(|tail| tail.is_empty() || tail.starts_with('/')) {
        rest = tail.trim_start_matches('/');
    }
    rest
}

/// What is beneath one of these and one of those: of two where one is beneath the other, the deeper.
pub fn intersect(these: &[String], those: &[String]) -> Vec<String> {
    let deeper = |this: &String, that: &String| match (below(this, that), below(that, this)) {
        (Some(_), _) => Some(that.clone()),
        (_, Some(_)) => Some(this.clone()),
        _ => None,
    };
    outermost(these.iter().flat_map(|this| those.iter().filter_map(move |that| deeper(this, that))).collect())
}

/// Each once, and none that is beneath another.
pub fn outermost(mut roots: Vec<String>) -> Vec<String> {
    roots.sort();
    roots.dedup();
    let all = roots.clone();
    roots.retain(|root| !all.iter().any(|other| other != root && below(other, root).is_some()));
    roots
}
