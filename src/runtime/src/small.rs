//! What keeps an idle daemon small, its memory off the disk, and its log.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use tracing_subscriber::{
    Layer, filter::Targets, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

/// Bounds the arenas of the C library's allocator: each thread would have one of its own, and keep what it freed.
pub fn bound_memory() {
    #[expect(unsafe_code, reason = "the allocator's settings are the C library's")]
    // SAFETY: it is called before other threads exist, with constants that the C library defines.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 128 * 1024);
        // A fixed threshold: a dynamic one rises with the largest block that was ever freed.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024);
    }
}

/// Leaves no core file behind, neither of this process nor of the machines that it starts: keys, secrets and guests' memory
/// would be in it.
pub fn leave_no_core() -> io::Result<()> {
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

/// Gives back what was only needed to start.
pub fn trim() {
    #[expect(unsafe_code, reason = "the allocator is the C library's")]
    // SAFETY: it takes a number and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Logs to stderr, as `wanted` says or what is of interest to an operator. `aegis up` and systemd put that where it
/// belongs.
pub fn log(wanted: Option<&str>) {
    let filter: Targets = wanted
        .and_then(|wanted| wanted.parse().ok())
        .unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO));
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    // A second call, as in tests, changes nothing.
    drop(registry().with(layer.with_filter(filter)).try_init());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn no_memory_is_left_on_the_disk() {
        leave_no_core().unwrap();
        let limit = rustix::process::getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)), "what is started inherits it");
    }
}
