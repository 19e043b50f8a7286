//! Whether a host is meant.

use super::{Fragment, LabelTest, Selector, TagTest, canonical_arch, canonical_os};

/// What is known about a host.
pub trait Facts {
    /// Its operating system, such as `linux`.
    fn os(&self) -> &str;
    /// Its processor architecture, such as `x86_64`.
    fn arch(&self) -> &str;
    /// Whether it advertises this tool.
    fn has_tool(&self, tool: &str) -> bool;
    /// The value of a label that it advertises.
    fn label(&self, key: &str) -> Option<&str>;
    /// Whether an operator gave it this tag.
    fn has_tag(&self, tag: &str) -> bool;
}

impl Selector {
    /// Whether every condition holds for the host.
    pub fn matches(&self, facts: &impl Facts) -> bool {
        self.fragments.iter().all(|fragment| fragment.matches(facts))
    }
}

impl Fragment {
    /// Whether this condition holds for the host.
    pub fn matches(&self, facts: &impl Facts) -> bool {
        match self {
            Self::Os(os) => canonical_os(facts.os()) == *os,
            Self::Arch(arch) => canonical_arch(facts.arch()) == *arch,
            Self::Tools(tools) => tools.iter().all(|tool| facts.has_tool(tool)),
            Self::Label(LabelTest::Equals(key, value)) => facts.label(key) == Some(value),
            Self::Label(LabelTest::Exists(key)) => facts.label(key).is_some(),
            Self::Label(LabelTest::In(key, values)) => {
                facts.label(key).is_some_and(|have| values.iter().any(|value| value == have))
            }
            Self::Tags(TagTest::AnyOf(tags)) => tags.iter().any(|tag| facts.has_tag(tag)),
            Self::Tags(TagTest::AllOf(tags)) => tags.iter().all(|tag| facts.has_tag(tag)),
            Self::Tags(TagTest::NoneOf(tags)) => !tags.iter().any(|tag| facts.has_tag(tag)),
        }
    }
}
