//! A value that must not be seen: not in a log, an error, a plan, nor in memory after its use.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What stands where a secret would be shown.
const REDACTED: &str = "[redacted]";

/// A secret value. It can be read from input, but prints as `[redacted]`, can't be serialised, and is overwritten
/// when dropped. [`Secret::expose`] is the only way to the value, so that each use can be found by searching for it.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
    /// The value itself. What is done with it must not show it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T: Zeroize> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> ZeroizeOnDrop for Secret<T> {}

impl<'de, T: Zeroize + Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The original error may repeat the value: "invalid type: integer `1234`".
        T::deserialize(deserializer).map(Self).map_err(|_| de::Error::custom("the secret has the wrong type"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::{cell::Cell, rc::Rc};

    #[test]
    fn it_is_never_shown() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(
            format!("{secret} {secret:?} {:#?} {:?}", secret, Some(&secret)),
            "[redacted] [redacted] [redacted] Some([redacted])"
        );
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn an_error_does_not_repeat_it() {
        let secret: Secret<String> = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!(secret.expose(), "hunter2");
        let error = serde_json::from_str::<Secret<String>>("8675309").unwrap_err().to_string();
        assert!(!error.contains("8675309"), "{error}");
    }

    #[test]
    fn each_copy_is_overwritten_when_dropped() {
        #[derive(Clone)]
        struct Counted(Rc<Cell<u32>>);
        impl Zeroize for Counted {
            fn zeroize(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let count = Rc::new(Cell::new(0));
        let secret = Secret::new(Counted(Rc::clone(&count)));
        drop(secret.clone());
        assert_eq!(count.get(), 1);
        drop(secret);
        assert_eq!(count.get(), 2);
    }
}
