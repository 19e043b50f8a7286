//! OCI images: pulled, verified, cached, and made into read-only root file systems.
