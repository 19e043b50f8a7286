//! How contexts name tools and commands.

/// Any tool, any command, any domain.
pub const ANY: &str = "*";

/// `fs.read`, `fs.*` or `*`.
pub fn is_tool_pattern(text: &str) -> bool {
    let stem = text.strip_suffix(".*").unwrap_or(text);
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    text == ANY || stem.split('.').all(word)
}

/// Whether the pattern names the tool. A family names what stands below it, and no other family that begins like it.
pub fn names_tool(pattern: &str, tool: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(family) => tool.strip_prefix(family).is_some_and(|rest| rest.starts_with('.')),
        None => pattern == ANY || pattern == tool,
    }
}

/// A program's name, an absolute path, or `*`. `ls -l` is none: arguments belong to the call.
pub fn is_command(text: &str) -> bool {
    let name = !text.contains('/') && !text.contains(char::is_whitespace);
    let path = text.starts_with('/') && !text.ends_with('/') && !text.split('/').any(|part| part == "..");
    !text.is_empty() && !text.chars().any(char::is_control) && (name || path) && text != "." && text != ".."
}
