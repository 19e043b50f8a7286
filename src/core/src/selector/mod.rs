//! Which hosts are meant: the expression language of `--target` and `--selector` (edge CLI reference, "Selector
//! expression grammar"; 1-product.md, decision 3).
//!
//! ```text
//! target   = '@' node | 'group:' name | 'all' | selector
//! selector = fragment { space fragment }                       every fragment must hold
//! fragment = 'os=' value | 'arch=' value | 'tools=' values
//!          | 'labels=' ( key '=' value | 'Exists(' key ')' | 'In(' key ',' values ')' )
//!          | 'tags=' ( values | 'AnyOf(' values ')' | 'AllOf(' values ')' | 'NoneOf(' values ')' )
//! values   = value { ',' value }
//! ```

mod error;
mod eval;
mod parse;
mod print;
#[cfg(test)]
mod tests;

pub use error::ParseError;
pub use eval::Facts;

/// The longest expression, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// The most fragments in one expression.
pub const MAX_FRAGMENTS: usize = 64;

/// Which hosts a command or a group means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// One host: its id, an unambiguous prefix of it (`n-` and at least four digits), or its host name.
    Node(String),
    /// The hosts of a saved group.
    Group(String),
    /// Every connected host of the tenant.
    All,
    /// The hosts that match.
    Selector(Selector),
}

/// Conditions that must all hold. It has at least one; it comes only from a text that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector {
    fragments: Vec<Fragment>,
}

impl Selector {
    /// The conditions, in the order in which they were written.
    pub fn fragments(&self) -> &[Fragment] {
        &self.fragments
    }
}

/// One condition on a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// The operating system is this one. `darwin` is kept as `macos`.
    Os(String),
    /// The processor architecture is this one. `amd64` is kept as `x86_64`, `arm64` as `aarch64`.
    Arch(String),
    /// All of these tools are there.
    Tools(Vec<String>),
    /// Something holds for a label.
    Label(LabelTest),
    /// Something holds for the tags.
    Tags(TagTest),
}

/// A condition on one label, which the host itself advertises.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LabelTest {
    /// The label has this value.
    Equals(String, String),
    /// The label is set, to whatever.
    Exists(String),
    /// The label has one of these values.
    In(String, Vec<String>),
}

/// A condition on the tags, which operators set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TagTest {
    /// At least one of them is set.
    AnyOf(Vec<String>),
    /// All of them are set. `tags=a,b` means this too.
    AllOf(Vec<String>),
    /// None of them is set.
    NoneOf(Vec<String>),
}

/// The one name of an operating system that has several.
fn canonical_os(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "darwin" => "macos".to_owned(),
        other => other.to_owned(),
    }
}

/// The one name of an architecture that has several.
fn canonical_arch(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "amd64" => "x86_64".to_owned(),
        "arm64" => "aarch64".to_owned(),
        other => other.to_owned(),
    }
}
