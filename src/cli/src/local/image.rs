//! `--image`: a reference, or files of this machine.

use std::path::absolute;

/// As the daemon is told: it runs in another directory, so paths are made absolute.
pub fn image(text: &str) -> Result<String, String> {
    for scheme in ["oci:", "docker-archive:"] {
        if let Some(path) = text.strip_prefix(scheme) {
            if path.is_empty() {
                return Err(format!("there is no path behind {scheme}"));
            }
            let path = absolute(path).map_err(|error| format!("{path}: {error}"))?;
            return Ok(format!("{scheme}{}", path.display()));
        }
    }
    if text.is_empty() {
        Err("write a reference, such as alpine:3.21".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_are_made_absolute() {
        for text in ["alpine:3.21", "127.0.0.1:5000/a/b@sha256:0", "oci:/a/b:tag"] {
            assert_eq!(image(text).unwrap(), text);
        }
        let here = std::env::current_dir().unwrap();
        assert_eq!(image("oci:layout:tag").unwrap(), format!("oci:{}/layout:tag", here.display()));
        assert!(image("").is_err() && image("docker-archive:").is_err());
    }
}
