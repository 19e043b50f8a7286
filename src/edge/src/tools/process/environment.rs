//! The environment of a program: made anew for each, nothing of the daemon's own but the time zone.

use std::{collections::BTreeMap, fs};

/// Where programs are looked for, whatever the daemon's own `PATH` says.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Tells the processes of one call from all others, also when they have left its group.
pub const CALL_ID: &str = "CALL_ID";

/// Variables that change what a granted program does or runs: the loader's, the shells' and the interpreters', and those
/// that name config files, which name programs in their turn.
const DANGEROUS: [&str; 37] = [
    CALL_ID,
    "PATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "BASHOPTS",
    "SHELLOPTS",
    "PS4",
    "ZDOTDIR",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "LOCPATH",
    "NLSPATH",
    "RES_OPTIONS",
    "HOME",
    "KUBECONFIG",
    "LESSCLOSE",
    "LESSOPEN",
    "MAKEFILES",
    "MAKEFLAGS",
    "VISUAL",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYLIB",
    "RUBYOPT",
];
const DANGEROUS_PREFIXES: [&str; 10] =
    ["LD_", "DYLD_", "BASH_FUNC_", "DOCKER_", "GIT_", "LUA_", "NODE_", "OPENSSL_", "SSH_", "XDG_"];
const DANGEROUS_SUFFIXES: [&str; 2] = ["PAGER", "EDITOR"];

/// What every program on this host gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tools) struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// For the user that the daemon runs as.
    pub fn of_this_user() -> Self {
        let uid = rustix::process::getuid().as_raw();
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let timezone = std::env::var("TZ").ok();
        match account(&accounts, uid) {
            Some((user, home)) => Self::new(user, home, timezone),
            // A user that isn't in the file: from a directory service, or in a container.
            None => Self::new(
                &std::env::var("USER").unwrap_or_else(|_| uid.to_string()),
                &std::env::var("HOME").unwrap_or_else(|_| "/".to_owned()),
                timezone,
            ),
        }
    }

    fn new(user: &str, home: &str, timezone: Option<String>) -> Self {
        let mut variables: BTreeMap<_, _> =
            [("PATH", PATH), ("HOME", home), ("USER", user), ("LOGNAME", user), ("LANG", "C.UTF-8")]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
        variables.extend(timezone.map(|timezone| ("TZ".to_owned(), timezone)));
        Self { variables }
    }

    /// With what the call asks for, which [`check_variables`] has let through.
    pub fn with(&self, more: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut variables = self.variables.clone();
        variables.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
        variables
    }

    /// The user's home, where a program begins unless it is told otherwise.
    pub fn home(&self) -> &str {
        self.variables.get("HOME").map_or("/", String::as_str)
    }
}

/// The name and the home of a user, from the text of `/etc/passwd`.
fn account(accounts: &str, uid: u32) -> Option<(&str, &str)> {
    accounts.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let found = fields.len() >= 7 && fields[2].parse() == Ok(uid) && !fields[5].is_empty();
        found.then(|| (fields[0], fields[5]))
    })
}

/// Whether a call may set these.
pub(crate) fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in variables {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!("{name:?} is no name of a variable: leave out '=' and NUL"));
        }
        if value.contains('\0') {
            return Err(format!("the value of the variable {name} holds NUL; leave it out"));
        }
        let dangerous = DANGEROUS.contains(&name.as_str())
            || DANGEROUS_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || DANGEROUS_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
        if dangerous {
            return Err(format!(
                "the variable {name} isn't passed on: it changes which code or config a program takes; leave it out"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_account_is_found_by_its_number() {
        let text = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:33::/var/www:/bin/sh\n";
        assert_eq!(account(text, 33), Some(("web", "/var/www")));
        assert_eq!(account(text, 7), None);
    }

    #[test]
    fn variables_that_change_which_code_runs_are_refused() {
        for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "PATH", "a=b", "a\0b", "", "BASH_FUNC_ls%%"]
        {
            assert!(check_variables(&variables(&[(name, "x")])).is_err(), "{name:?}");
        }
        assert!(check_variables(&variables(&[("A", "x\0y")])).is_err());
        check_variables(&variables(&[("A", "x=y\n'\""), ("lower", "")])).unwrap();
    }

    #[test]
    fn variables_that_name_config_or_other_programs_are_refused() {
        for name in [
            "HOME",
            "XDG_CONFIG_HOME",
            "_JAVA_OPTIONS",
            "JDK_JAVA_OPTIONS",
            "OPENSSL_CONF",
            "LESSOPEN",
            "LESSCLOSE",
            "GIT_SSH_COMMAND",
            "KUBECONFIG",
            "DOCKER_HOST",
            "LUA_INIT",
            "NODE_PATH",
            "PHPRC",
            "PHP_INI_SCAN_DIR",
            "MAKEFILES",
            "MAKEFLAGS",
            "PAGER",
            "SYSTEMD_PAGER",
            "MANPAGER",
            "EDITOR",
            "VISUAL",
            "SSH_ASKPASS",
            "GCONV_PATH",
            "LOCPATH",
            "NLSPATH",
            "HOSTALIASES",
            "RES_OPTIONS",
        ] {
            let error = check_variables(&variables(&[(name, "x")])).expect_err(name);
            assert!(error.contains(name) && error.ends_with("; leave it out"), "{error}");
        }
        for name in ["TMPDIR", "TZ", "LC_ALL", "HOMEPAGE", "DEBIAN_FRONTEND"] {
            check_variables(&variables(&[(name, "x")])).expect(name);
        }
    }

    #[test]
    fn the_call_adds_to_what_every_program_gets() {
        let environment = Environment::new("web", "/var/www", Some("Europe/Berlin".into()));
        let all = environment.with(&variables(&[("A", "b"), ("LANG", "de_DE.UTF-8")]));
        let names: Vec<_> = all.keys().map(String::as_str).collect();
        assert_eq!(names, ["A", "HOME", "LANG", "LOGNAME", "PATH", "TZ", "USER"]);
        assert_eq!((all["LANG"].as_str(), environment.home()), ("de_DE.UTF-8", "/var/www"));
    }
}
