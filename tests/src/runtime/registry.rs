//! A registry of images: Debian's `docker-registry` on a free port of the loopback, with its blobs in a temporary directory.

use std::{fs, net::SocketAddr, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::{
    guest_cache,
    http::{Request, Response},
    image::{Blob, Image},
};
use crate::{
    process::Process,
    wait::{SOON, eventually},
};

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    _process: Process,
    address: SocketAddr,
    directory: TempDir,
}

impl Registry {
    /// Starts one without images.
    #[track_caller]
    pub fn start() -> Self {
        let program = guest_cache().join("registry/usr/bin/docker-registry");
        assert!(program.is_file(), "{} isn't there; run `make guest`", program.display());
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("registry.yml");
        let storage = directory.path().join("storage");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n",
            storage.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(program);
        command.arg("serve").arg(&config).env_clear().env("OTEL_TRACES_EXPORTER", "none");
        let mut process = Process::start(command);
        let address = eventually("the registry listens", SOON, || {
            let ended = process.ended();
            assert!(ended.is_none(), "the registry ended ({ended:?}): {}", process.stderr());
            let said = process.stderr() + &process.stdout();
            let rest = said.split_once("listening on ")?.1;
            let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != ':')?;
            rest[..end].parse().ok()
        });
        Self { _process: process, address, directory }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How an image of it is named.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Puts an image in as `NAME:TAG`. Gives its reference.
    #[track_caller]
    pub fn push(&self, name: &str, image: &Image) -> String {
        let (repository, tag) = name.split_once(':').expect("NAME:TAG");
        let (blobs, manifest) = image.build();
        for blob in &blobs {
            self.push_blob(repository, blob);
        }
        self.push_manifest(repository, tag, &manifest);
        self.reference(name)
    }

    /// Puts a manifest or an index in.
    #[track_caller]
    pub fn push_manifest(&self, repository: &str, tag: &str, manifest: &Blob) {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let request = Request::new("PUT", &path).body(&manifest.kind, manifest.bytes.clone());
        let _ = self.send(&request).expect(201);
    }

    /// Puts a blob in.
    #[track_caller]
    pub fn push_blob(&self, repository: &str, blob: &Blob) {
        let begun = self.send(&Request::new("POST", &format!("/v2/{repository}/blobs/uploads/"))).expect(202);
        let place = begun.header("location").expect("a place to upload to");
        let path = place.find("/v2/").map_or(place, |at| &place[at..]);
        let path = format!("{path}{}digest={}", if path.contains('?') { '&' } else { '?' }, blob.digest);
        let request = Request::new("PUT", &path).body("application/octet-stream", blob.bytes.clone());
        let _ = self.send(&request).expect(201);
    }

    /// Where the bytes of a blob are on the disk: a test may damage them.
    pub fn blob_file(&self, digest: &str) -> PathBuf {
        let hash = digest.trim_start_matches("sha256:");
        let blobs = self.directory.path().join("storage/docker/registry/v2/blobs/sha256");
        blobs.join(&hash[..2]).join(hash).join("data")
    }

    #[track_caller]
    fn send(&self, request: &Request) -> Response {
        request.send(self.address).unwrap_or_else(|error| panic!("the registry: {error}: {request:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::image::Layer;

    #[test]
    fn what_is_pushed_is_there() {
        let registry = Registry::start();
        let image = Image::new().layer(&Layer::new().file("page", 0o644, "hello"));
        registry.push("test/page:1", &image);
        let manifest = Request::get("/v2/test/page/manifests/1")
            .header("accept", "application/vnd.oci.image.manifest.v1+json")
            .send(registry.address())
            .unwrap()
            .expect(200);
        let (blobs, built) = image.build();
        assert_eq!(manifest.body, built.bytes);
        assert_eq!(fs::read(registry.blob_file(&blobs[0].digest)).unwrap(), blobs[0].bytes);
    }
}
