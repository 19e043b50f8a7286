//! The flags that say how a guest is made.

use std::collections::BTreeMap;

use aegis_wire::runtime::RunOptions;
use clap::Args;

use crate::failure::Failure;

/// How a guest is made.
#[derive(Debug, Clone, Default, Args)]
pub struct GuestArgs {
    /// A variable of its environment; K alone takes the value from this one; may be repeated
    #[arg(long, value_name = "K=V")]
    env: Vec<String>,
    /// A secret of the workspace that it gets as a variable; may be repeated
    #[arg(long, value_name = "NAME")]
    secret: Vec<String>,
    /// The name of a workspace that is kept and mounted as /workspace
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// Its memory, such as 512M or 2G
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    memory: Option<u32>,
    /// Its virtual CPUs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    cpus: Option<u32>,
    /// What runs it: qemu, libkrun or namespaces; the last is no VM [default: the best that works here]
    #[arg(long, value_name = "NAME", value_parser = ["qemu", "libkrun", "namespaces"])]
    backend: Option<String>,
}

/// A size as MiB.
pub fn memory(text: &str) -> Result<u32, String> {
    let wrong = || format!("'{text}' is no size; write a number with M or G, such as 512M or 2G");
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let times = match &lower[number.len()..] {
        "m" | "mb" | "mib" => 1,
        "g" | "gb" | "gib" => 1024,
        _ => return Err(wrong()),
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let size = number.parse::<u32>().ok().filter(|n| digits && *n > 0);
    size.and_then(|n| n.checked_mul(times)).ok_or_else(wrong)
}

impl GuestArgs {
    /// Whether a backend was named.
    pub fn names_backend(&self) -> bool {
        self.backend.is_some()
    }

    /// As the daemon is told. `lookup` is this program's environment.
    pub fn options(self, lookup: impl Fn(&str) -> Option<String>) -> Result<RunOptions, Failure> {
        let mut env = BTreeMap::new();
        for text in self.env {
            let (name, value) = if let Some((name, value)) = text.split_once('=') {
                (name.to_owned(), value.to_owned())
            } else {
                let value = lookup(&text).ok_or_else(|| {
                    Failure::invalid(format!("--env {text}: there is no such variable here"))
                        .hint(format!("write --env {text}=VALUE"))
                })?;
                (text, value)
            };
            if name.is_empty() || name.contains('\0') {
                return Err(Failure::invalid("--env: a variable has no name").hint("write --env NAME=VALUE"));
            }
            env.insert(name, value);
        }
        Ok(RunOptions {
            env,
            secrets: self.secret,
            workspace: self.workspace,
            memory_mib: self.memory,
            cpus: self.cpus,
            backend: self.backend,
            ..RunOptions::default()
        })
    }
}

/// A variable of this program's environment, if it is text.
pub fn own_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        for (text, mib) in [("512M", 512), ("512MiB", 512), ("2g", 2048), ("1GB", 1024)] {
            assert_eq!(memory(text).unwrap(), mib, "{text}");
        }
        for wrong in ["", "512", "0M", "-1M", "1.5G", "M", "1T", "+1M", "5000000G"] {
            assert!(memory(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn variables_are_given_or_taken_along() {
        let args = |env: &[&str]| GuestArgs {
            env: env.iter().map(ToString::to_string).collect(),
            ..GuestArgs::default()
        };
        let lookup = |name: &str| (name == "HAVE").then(|| "it".to_owned());
        let options = args(&["A=1", "B=x=y", "HAVE", "C=", "A=2"]).options(lookup).unwrap();
        let wanted = [("A", "2"), ("B", "x=y"), ("C", ""), ("HAVE", "it")];
        assert_eq!(options.env, wanted.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        for wrong in ["=1", "HAVENT"] {
            assert_eq!(args(&[wrong]).options(lookup).unwrap_err().exit.code(), 2, "{wrong}");
        }
    }
}
