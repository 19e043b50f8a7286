//! Names of images, as people type them.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::{Digest, ImageError};

/// The registry of names that have none.
const DEFAULT_HOST: &str = "docker.io";
/// The tag of names that have none.
const DEFAULT_TAG: &str = "latest";

/// Where an image comes from, with all that a name leaves out filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// `[HOST/]REPOSITORY[:TAG][@DIGEST]`: a repository of a registry.
    Registry {
        /// The registry: `docker.io`, `localhost:5000`.
        host: String,
        /// The repository: `library/alpine`.
        repository: String,
        /// The tag. With a digest it is only a note.
        tag: Option<String>,
        /// The digest, which then decides.
        digest: Option<Digest>,
    },
    /// `oci:DIR[:TAG|@DIGEST]`: an OCI image layout.
    Layout {
        /// The directory, an absolute path.
        directory: PathBuf,
        /// The value of its annotation `org.opencontainers.image.ref.name`.
        tag: Option<String>,
        /// The digest of its manifest or index.
        digest: Option<Digest>,
    },
    /// `docker-archive:FILE[:NAME:TAG]`: what `docker save` makes.
    Archive {
        /// The file, an absolute path.
        file: PathBuf,
        /// Which of its images; needed when there are several.
        name: Option<String>,
    },
}

impl Reference {
    /// The digest that the reference itself names. Then nothing needs to be asked.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Registry { digest, .. } | Self::Layout { digest, .. } => *digest,
            Self::Archive { .. } => None,
        }
    }

    /// The place to name in messages.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Registry { host, .. } => host.clone(),
            Self::Layout { directory, .. } => directory.display().to_string(),
            Self::Archive { file, .. } => file.display().to_string(),
        }
    }
}

impl fmt::Display for Reference {
    /// The full name: `docker.io/library/alpine:latest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry { host, repository, tag, digest } => {
                write!(f, "{host}/{repository}")?;
                write_suffix(f, tag.as_deref(), *digest)
            }
            Self::Layout { directory, tag, digest } => {
                write!(f, "oci:{}", directory.display())?;
                write_suffix(f, tag.as_deref(), *digest)
            }
            Self::Archive { file, name } => {
                write!(f, "docker-archive:{}", file.display())?;
                write_suffix(f, name.as_deref(), None)
            }
        }
    }
}

fn write_suffix(f: &mut fmt::Formatter<'_>, tag: Option<&str>, digest: Option<Digest>) -> fmt::Result {
    if let Some(tag) = tag {
        write!(f, ":{tag}")?;
    }
    digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let wrong = |reason: &str| ImageError::reference(text, reason);
        if text.is_empty() || text.len() > 4_096 || text.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return Err(wrong("is empty, too long or has spaces"));
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            return layout(text, rest);
        }
        if let Some(rest) = text.strip_prefix("docker-archive:") {
            let (file, name) = rest.split_once(':').map_or((rest, None), |(file, name)| (file, Some(name)));
            return Ok(Self::Archive { file: absolute(text, file)?, name: name.map(str::to_owned) });
        }
        if text.contains("://") {
            return Err(wrong("is a URL; leave out the scheme"));
        }
        let (name, digest) = with_digest(text, text)?;
        // A colon after the last slash begins the tag; one before it a port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("has a tag that can't be"));
        }
        let (host, repository) = match name.split_once('/') {
            Some((host, rest)) if is_host(host) => (host.to_ascii_lowercase(), rest.to_owned()),
            _ => (DEFAULT_HOST.to_owned(), name.to_owned()),
        };
        let host = if host == "index.docker.io" { DEFAULT_HOST.to_owned() } else { host };
        let in_library = host == DEFAULT_HOST && !repository.contains('/');
        let repository = if in_library { format!("library/{repository}") } else { repository };
        if !is_repository(&repository) || !is_host_name(&host) {
            return Err(wrong("isn't like [HOST/]NAME[:TAG][@sha256:DIGEST], in lower case"));
        }
        let tag = match (tag, digest) {
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self::Registry { host, repository, tag, digest })
    }
}

fn layout(text: &str, rest: &str) -> Result<Reference, ImageError> {
    let (rest, digest) = with_digest(text, rest)?;
    let (directory, tag) = match rest.rsplit_once(':') {
        Some((directory, tag)) if !tag.contains('/') => (directory, Some(tag.to_owned())),
        _ => (rest, None),
    };
    Ok(Reference::Layout { directory: absolute(text, directory)?, tag, digest })
}

fn with_digest<'a>(text: &str, rest: &'a str) -> Result<(&'a str, Option<Digest>), ImageError> {
    match rest.rsplit_once('@') {
        None => Ok((rest, None)),
        Some((rest, digest)) => {
            let digest =
                digest.parse().map_err(|error| ImageError::reference(text, format!("is wrong: {error}")))?;
            Ok((rest, Some(digest)))
        }
    }
}

/// The daemon's directory isn't that of whoever typed the path, so a relative one would mean something else.
fn absolute(text: &str, path: &str) -> Result<PathBuf, ImageError> {
    if path.starts_with('/') {
        Ok(PathBuf::from(path))
    } else {
        Err(ImageError::reference(text, "needs an absolute path"))
    }
}

/// Whether the part before the first slash is a registry, by Docker's rule: it has a dot or a port, or is localhost, or has
/// capitals, which no repository may have.
fn is_host(part: &str) -> bool {
    part.contains(['.', ':', '['])
        || part == "localhost"
        || part.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_host_name(host: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    !host.is_empty()
        && host.len() <= 260
        && host.bytes().all(is_allowed)
        && host.parse::<http::uri::Authority>().is_ok()
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

fn is_repository(repository: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    repository.len() <= 255
        && repository.split('/').all(|part| {
            part.bytes().next().is_some_and(is_word)
                && part.bytes().last().is_some_and(is_word)
                && part.bytes().all(|byte| is_word(byte) || b"._-".contains(&byte))
                && !part.contains("..")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_completed_as_docker_does() {
        for (typed, full) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("alpine:3.21", "docker.io/library/alpine:3.21"),
            ("index.docker.io/alpine", "docker.io/library/alpine:latest"),
            ("user/app", "docker.io/user/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:1", "localhost:5000/app:1"),
            ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            ("GHCR.io/a/b", "ghcr.io/a/b:latest"),
            ("oci:/a/b", "oci:/a/b"),
            ("oci:/a/b:v1", "oci:/a/b:v1"),
            ("docker-archive:/a/b.tar", "docker-archive:/a/b.tar"),
            ("docker-archive:/a/b.tar:app:1", "docker-archive:/a/b.tar:app:1"),
        ] {
            let reference: Reference = typed.parse().unwrap();
            assert_eq!(reference.to_string(), full, "{typed}");
            assert_eq!(full.parse::<Reference>().unwrap(), reference, "{full}");
        }
    }

    #[test]
    fn a_digest_pins_and_needs_no_tag() {
        let name = format!("ghcr.io/a/b@{DIGEST}");
        let reference: Reference = name.parse().unwrap();
        assert_eq!(reference.to_string(), name);
        assert_eq!(reference.digest(), Some(DIGEST.parse().unwrap()));
        let both: Reference = format!("alpine:3@{DIGEST}").parse().unwrap();
        assert_eq!(both.to_string(), format!("docker.io/library/alpine:3@{DIGEST}"));
        let layout: Reference = format!("oci:/x@{DIGEST}").parse().unwrap();
        assert_eq!(layout.digest(), reference.digest());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for wrong in [
            "",
            " ",
            "a b",
            "https://ghcr.io/a",
            "Alpine",
            "a//b",
            "a/../b",
            "a:",
            "a:-x",
            "a@sha256:12",
            "oci:rel",
            "a\n",
            "docker-archive:x.tar",
            "-a",
            "a/",
            "ghcr.io/",
            "a:b:c",
            "user@host.io/a",
        ] {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong:?}");
        }
    }
}
