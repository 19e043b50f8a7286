//! Layouts, archives and tar files as sources.

use std::{fs, path::Path};

use crate::{
    Digest, ImageError, ImageStore, Limits, Problem, Reference, RegistryConfig,
    layer::{
        Compression,
        tests::{compress, read_back},
    },
    manifest::{Config, Manifest, Platform, RootFs},
    silent,
    tar::writer::{Draft, Writer},
};

async fn store(at: &Path) -> ImageStore {
    ImageStore::open(at.join("images"), Limits::default(), RegistryConfig::default()).await.unwrap()
}

fn layer(name: &str) -> Vec<u8> {
    Writer::default().file(format!("our-{name}"), name).finish()
}

fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let host = Platform::host();
    let rootfs = RootFs {
        kind: "layers".to_owned(),
        diff_ids: layers.iter().map(|layer| Digest::of(layer)).collect(),
    };
    serde_json::to_vec(&Config { architecture: host.architecture, os: host.os, created: None, rootfs })
        .unwrap()
}

async fn names(store: &ImageStore, digest: &Digest) -> Vec<String> {
    let all = read_back(&store.rootfs_image(digest).await.unwrap());
    all.into_keys().filter(|name| name.starts_with("our")).collect()
}

fn write_layout(at: &Path, tags: &[&str]) -> Vec<Digest> {
    let blobs = at.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let keep = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        (digest, bytes.len() as u64)
    };
    let mut entries = Vec::new();
    let mut digests = Vec::new();
    for tag in tags {
        let layers = [layer(tag)];
        let blob = compress(&layers[0], Compression::Gzip);
        let (digest, size) = keep(&blob);
        let manifest = Manifest::new(keep(&config(&layers)), vec![(digest, size, Compression::Gzip)]);
        let (digest, size) = keep(&serde_json::to_vec(&manifest).unwrap());
        digests.push(digest);
        entries.push(serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest.to_string(), "size": size,
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }));
    }
    let index = serde_json::json!({"schemaVersion": 2, "manifests": entries});
    fs::write(at.join("index.json"), index.to_string()).unwrap();
    fs::write(at.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
    digests
}

#[tokio::test]
async fn a_layout_gives_images_by_tag_by_digest_or_its_only_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    let two = directory.path().join("two");
    let digests = write_layout(&two, &["v1", "v2"]);
    let one = directory.path().join("one");
    let only = write_layout(&one, &["v3"])[0];
    let reference = |text: String| text.parse::<Reference>().unwrap();
    for (text, digest, name) in [
        (format!("oci:{}:v2", two.display()), digests[1], "our-v2"),
        (format!("oci:{}@{}", two.display(), digests[0]), digests[0], "our-v1"),
        (format!("oci:{}", one.display()), only, "our-v3"),
    ] {
        let reference = reference(text);
        assert_eq!(store.resolve(&reference).await.unwrap(), digest);
        assert_eq!(store.pull(&reference, silent()).await.unwrap().digest, digest);
        assert_eq!(names(&store, &digest).await, [name]);
    }
    let missing = store.pull(&reference(format!("oci:{}:v9", two.display())), silent()).await.unwrap_err();
    assert_eq!(missing.problem(), Problem::NotFound);
    let nowhere = store.pull(&reference(format!("oci:{}/none", two.display())), silent()).await.unwrap_err();
    assert_eq!(nowhere.problem(), Problem::NotFound);
}

#[tokio::test]
async fn a_damaged_layout_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    let at = directory.path().join("layout");
    let digest = write_layout(&at, &["v1"])[0];
    let blob = Digest::of(&compress(&layer("v1"), Compression::Gzip));
    let path = at.join("blobs/sha256").join(blob.hex());
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let reference: Reference = format!("oci:{}", at.display()).parse().unwrap();
    assert!(matches!(store.pull(&reference, silent()).await, Err(ImageError::WrongDigest { .. })));
    // A pipe in place of a blob would be waited for without end.
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let error = store.pull(&reference, silent()).await.unwrap_err().to_string();
    assert!(error.ends_with("it is no file"), "{error}");
    fs::write(at.join("blobs/sha256").join(digest.hex()), "{}").unwrap();
    assert!(matches!(store.pull(&reference, silent()).await, Err(ImageError::WrongDigest { .. })));
}

fn archive(images: &[(&str, &[&str])]) -> Vec<u8> {
    let mut tar = Writer::default();
    let mut entries = Vec::new();
    for (tag, names) in images {
        let layers: Vec<Vec<u8>> = names.iter().map(|name| layer(name)).collect();
        let config = config(&layers);
        let config_name = format!("{}.json", Digest::of(&config).hex());
        let mut paths = Vec::new();
        for (at, layer) in layers.iter().enumerate() {
            let path = format!("{}/layer.tar", Digest::of(layer).hex());
            // Docker has a link where a layer comes again.
            if at > 0 && layers[0] == *layer {
                let link = format!("again-{at}/layer.tar");
                tar = tar.symlink(&link, format!("../{path}"));
                paths.push(link);
            } else {
                tar = tar.file(&path, layer);
                paths.push(path);
            }
        }
        tar = tar.file(&config_name, &config);
        entries.push(serde_json::json!({"Config": config_name, "RepoTags": [tag], "Layers": paths}));
    }
    tar.file("manifest.json", serde_json::Value::from(entries).to_string()).finish()
}

#[tokio::test]
async fn an_archive_of_docker_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    let path = directory.path().join("a.tar");
    let reference =
        |suffix: &str| format!("docker-archive:{}{suffix}", path.display()).parse::<Reference>().unwrap();
    fs::write(&path, archive(&[("app:1", &["a", "b", "a"])])).unwrap();
    let image = store.pull(&reference(""), silent()).await.unwrap();
    assert_eq!(image.layers.len(), 3);
    assert_eq!(names(&store, &image.digest).await, ["our-a", "our-b"]);
    assert_eq!(store.resolve(&reference(":app:1")).await.unwrap(), image.digest);

    fs::write(&path, archive(&[("app:1", &["a"]), ("other:latest", &["c"])])).unwrap();
    let error = store.pull(&reference(""), silent()).await.unwrap_err().to_string();
    assert!(error.ends_with("it has 2 images; name one: app:1, other:latest"), "{error}");
    let image = store.pull(&reference(":other"), silent()).await.unwrap();
    assert_eq!(names(&store, &image.digest).await, ["our-c"]);
    assert_eq!(store.pull(&reference(":none"), silent()).await.unwrap_err().problem(), Problem::NotFound);

    fs::write(&path, compress(&archive(&[("app:1", &["a"])]), Compression::Gzip)).unwrap();
    let error = store.pull(&reference(""), silent()).await.unwrap_err().to_string();
    assert!(error.ends_with("the archive is compressed with gzip: decompress it first"), "{error}");
    fs::write(&path, "no tar at all").unwrap();
    assert_eq!(store.pull(&reference(""), silent()).await.unwrap_err().problem(), Problem::Refused);
}

#[tokio::test]
async fn a_tar_file_becomes_the_base_image() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path()).await;
    let path = directory.path().join("base.tar");
    let tar =
        Writer::default().file("our-base", "b").entry(Draft::new(b'0', "our-su").mode(0o4755), b"").finish();
    let mut digests = Vec::new();
    for compression in [Compression::Plain, Compression::Gzip, Compression::Zstd] {
        fs::write(&path, compress(&tar, compression)).unwrap();
        let digest = store.base_image(&path).await.unwrap();
        assert_eq!(store.base_image(&path).await.unwrap(), digest);
        assert_eq!(names(&store, &digest).await, ["our-base", "our-su"]);
        assert_eq!(store.get(&digest).await.unwrap().references.iter().collect::<Vec<_>>(), ["base"]);
        digests.push(digest);
    }
    assert_eq!(store.list().await.unwrap().len(), 3);
    assert!(store.get(&digests[0]).await.unwrap().references.is_empty(), "there is one base");
    assert!(store.base_image(directory.path()).await.is_err());
    assert!(store.base_image(&directory.path().join("none")).await.is_err());
}
