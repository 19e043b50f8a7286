//! Every environment variable that Aegis reads, declared once.

/// A variable and what it is for.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
}

/// `~/.aegis`, elsewhere.
pub const HOME: Variable =
    Variable { name: "AEGIS_HOME", purpose: "where Aegis keeps its files (default ~/.aegis)" };
/// The daemon's config.
pub const CONFIG: Variable = Variable {
    name: "AEGIS_CONFIG",
    purpose: "the edge daemon's config file (default ~/.aegis/edge/aegis-config.yaml)",
};
/// The controller's context.
pub const CONTEXT: Variable = Variable {
    name: "AEGIS_CONTEXT",
    purpose: "the file that says which controller to ask (default ~/.aegis/context.yaml)",
};
/// The default `--output`.
pub const OUTPUT: Variable =
    Variable { name: "AEGIS_OUTPUT", purpose: "the default of --output: table, json or yaml" };
/// A user's token.
pub const USER_TOKEN: Variable = Variable {
    name: "AEGIS_USER_TOKEN",
    purpose: "a user token for the controller, instead of the context's",
};
/// What guests are made of.
pub const GUEST_DIR: Variable = Variable {
    name: "AEGIS_GUEST_DIR",
    purpose: "where aegisd finds harness, kernel and base image (default guest/ beside aegisd, then /usr/local/lib/aegis/guest and /usr/lib/aegis/guest)",
};
/// What daemons log.
pub const LOG: Variable = Variable {
    name: "AEGIS_LOG",
    purpose: "what daemons log to stderr, such as info or info,aegis_edge=debug",
};

/// The age identity that opens secrets.
pub const AGE_IDENTITY: Variable = Variable {
    name: "AEGIS_AGE_IDENTITY",
    purpose: "the age identity file that opens secrets with valueFrom.age (default ~/.aegis/age.key)",
};

/// All of them, and those of others that Aegis honours.
pub const VARIABLES: &[Variable] = &[
    HOME,
    CONFIG,
    CONTEXT,
    OUTPUT,
    USER_TOKEN,
    AGE_IDENTITY,
    GUEST_DIR,
    Variable {
        name: "HTTPS_PROXY, https_proxy",
        purpose: "the proxy through which the edge daemon dials out",
    },
    Variable {
        name: "NO_PROXY, no_proxy",
        purpose: "hosts, suffixes and networks that are dialled directly",
    },
    Variable { name: "NO_COLOR", purpose: "no colours, whatever the terminal can do" },
    LOG,
    Variable { name: "NOTIFY_SOCKET", purpose: "where daemons tell systemd that they are ready" },
];

/// The value of a variable, unless it is unset or empty.
pub fn get(variable: &Variable) -> Option<String> {
    std::env::var(variable.name).ok().filter(|value| !value.is_empty())
}
