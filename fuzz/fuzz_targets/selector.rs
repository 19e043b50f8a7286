//! Any text is a target with a canonical form that means the same, or an error that points into the text.
#![no_main]

use aegis_core::selector::{Facts, MAX_FRAGMENTS, MAX_LENGTH, Selector, Target};
use libfuzzer_sys::fuzz_target;

/// A host that has everything asked for, so that evaluation reaches every condition.
struct Everything;

impl Facts for Everything {
    fn os(&self) -> &str {
        "linux"
    }
    fn arch(&self) -> &str {
        "x86_64"
    }
    fn has_tool(&self, _: &str) -> bool {
        true
    }
    fn label(&self, _: &str) -> Option<&str> {
        Some("a")
    }
    fn has_tag(&self, _: &str) -> bool {
        true
    }
}

fuzz_target!(|text: &str| {
    match text.parse::<Target>() {
        Ok(target) => {
            assert!(text.len() <= MAX_LENGTH);
            let printed = target.to_string();
            assert_eq!(printed.parse::<Target>().as_ref(), Ok(&target), "{printed}");
            if let Target::Selector(selector) = &target {
                assert!((1..=MAX_FRAGMENTS).contains(&selector.fragments().len()));
                let every = selector.fragments().iter().all(|fragment| fragment.matches(&Everything));
                assert_eq!(selector.matches(&Everything), every);
            }
            assert_eq!(text.parse::<Selector>().is_ok(), matches!(target, Target::Selector(_)));
        }
        Err(error) => {
            assert!(text.get(error.span.clone()).is_some(), "{:?} isn't in the text", error.span);
            let picture = error.caret(text);
            assert_eq!(picture.lines().count(), 2, "{picture}");
            assert!(picture.ends_with('^'), "{picture}");
            assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
        }
    }
});
