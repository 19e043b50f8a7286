//! The daemon that runs OCI images in microVMs: `aegisd`.
