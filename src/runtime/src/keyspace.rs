//! The keys of the store that are the daemon's own. What is declared (apps, kits, secrets' names) is in the realm's.

/// Rows of instances, by id.
pub(crate) const INSTANCES: &str = "run/instances/";
/// Rows of tasks, by id.
pub(crate) const TASKS: &str = "run/tasks/";
/// Rows of releases, by app id and number.
pub(crate) const RELEASES: &str = "run/releases/";
/// What the daemon knows of an app beyond what is declared, by its name.
pub(crate) const APPS: &str = "run/apps/";
/// Ports on the host, by who has them and the guest's port.
pub(crate) const PORTS: &str = "run/ports/";
/// When images were pulled, by digest.
pub(crate) const PULLS: &str = "run/pulls/";
/// When kits were installed, by name.
pub(crate) const KITS: &str = "run/kits/";
/// Sealed values, by scope and key.
pub(crate) const SEALED: &str = "run/sealed/";

pub(crate) fn instance(id: &str) -> String {
    format!("{INSTANCES}{id}")
}
pub(crate) fn task(id: &str) -> String {
    format!("{TASKS}{id}")
}
pub(crate) fn app(name: &str) -> String {
    format!("{APPS}{name}")
}
pub(crate) fn releases(app: &str) -> String {
    format!("{RELEASES}{app}/")
}
/// Numbers have leading zeros, so that the order of keys is that of releases.
pub(crate) fn release(app: &str, number: u64) -> String {
    format!("{RELEASES}{app}/{number:010}")
}
pub(crate) fn port(holder: &str, guest: u16) -> String {
    format!("{PORTS}{holder}/{guest:05}")
}
