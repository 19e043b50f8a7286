//! Pulls from a registry that has faults.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use rcgen::{CertificateParams, KeyPair};

use super::fake::*;
use crate::{
    Digest, ImageError, ImageStore, Limits, Problem, Progress, Reference, RegistryConfig,
    layer::{
        Compression::{Gzip, Plain, Zstd},
        tests::{Is, read_back},
    },
    manifest::Platform,
    silent,
    tar::writer::Writer,
};

struct Place {
    directory: tempfile::TempDir,
    store: ImageStore,
}

async fn place_with(config: RegistryConfig, limits: Limits) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path().join("images"), limits, config).await.unwrap();
    Place { directory, store }
}

fn quick() -> RegistryConfig {
    RegistryConfig { idle_timeout: Duration::from_secs(20), ..RegistryConfig::default() }
}

async fn place() -> Place {
    place_with(quick(), Limits::default()).await
}

impl Place {
    /// Nothing half-made, and no blob.
    fn is_empty(&self) -> bool {
        let count =
            |path: &str| fs::read_dir(self.directory.path().join("images").join(path)).unwrap().count();
        count("tmp") + count("blobs/sha256") == 0
    }

    fn has(&self, digest: &Digest) -> bool {
        self.directory.path().join("images/blobs/sha256").join(digest.hex()).exists()
    }

    async fn pull(&self, reference: &Reference) -> Result<crate::Image, ImageError> {
        self.store.pull(reference, silent()).await
    }

    async fn names(&self, digest: &Digest) -> Vec<String> {
        let all = read_back(&self.store.rootfs_image(digest).await.unwrap());
        let is_ours = |name: &String| name.starts_with("our");
        all.into_keys().filter(is_ours).collect()
    }
}

fn layer(name: &str) -> Vec<u8> {
    Writer::default().file(format!("our-{name}"), name.repeat(1_000)).finish()
}

#[tokio::test]
async fn an_image_is_pulled_told_of_and_built_once() {
    let (fake, place) = (Fake::start(None).await, place().await);
    let digest =
        fake.with(|fake| fake.image("1", &[(&layer("a"), Gzip), (&layer("b"), Zstd), (&layer("c"), Plain)]));
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = told.clone();
    let image = place
        .store
        .pull(&fake.reference("1"), std::sync::Arc::new(move |step| sink.lock().unwrap().push(step)))
        .await
        .unwrap();
    assert_eq!(image.digest, digest);
    assert_eq!(image.layers.len(), 3);
    assert_eq!(image.references.iter().collect::<Vec<_>>(), [&fake.reference("1").to_string()]);
    assert_eq!(image.size, image.layers.iter().map(|layer| layer.size).sum::<u64>());
    let told = told.lock().unwrap().clone();
    assert!(matches!(told[0], Progress::Resolved { layers: 3, .. }));
    let ends =
        told.iter().filter(|step| matches!(step, Progress::Layer { done, total, .. } if done == total));
    assert_eq!(ends.count(), 3);

    assert_eq!(place.names(&digest).await, ["our-a", "our-b", "our-c"]);
    let path = place.store.rootfs_image(&digest).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), crate::ROOTFS_DISK_SIZE);
    // Nothing is needed any more to find it again.
    fs::remove_dir_all(place.directory.path().join("images/blobs")).unwrap();
    assert_eq!(place.store.rootfs_image(&digest).await.unwrap(), path);
    assert_eq!(place.store.list().await.unwrap(), [image]);
}

#[tokio::test]
async fn what_is_here_is_not_transferred_again() {
    let (fake, place) = (Fake::start(None).await, place().await);
    fake.with(|fake| fake.image("1", &[(&layer("a"), Gzip)]));
    let second = fake.with(|fake| fake.image("2", &[(&layer("a"), Gzip), (&layer("b"), Gzip)]));
    place.pull(&fake.reference("1")).await.unwrap();
    place.pull(&fake.reference("2")).await.unwrap();
    // Two configurations and two layers.
    assert_eq!(fake.with(|fake| fake.asked("/blobs/")), 4);
    fake.with(|fake| fake.log.clear());
    assert_eq!(place.store.resolve(&fake.reference("2")).await.unwrap(), second);
    assert_eq!(fake.with(|fake| fake.log.len()), 1, "HEAD alone");
    fake.with(|fake| fake.log.clear());
    let pinned: Reference = format!("{}/team/app@{second}", fake.address).parse().unwrap();
    assert_eq!(place.store.resolve(&pinned).await.unwrap(), second);
    place.pull(&pinned).await.unwrap();
    assert_eq!(fake.with(|fake| fake.log.len()), 0, "a digest that is here asks nobody");
}

#[tokio::test]
async fn a_tag_that_moved_leads_to_the_new_image() {
    let (fake, place) = (Fake::start(None).await, place().await);
    let old = fake.with(|fake| fake.image("latest", &[(&layer("a"), Gzip)]));
    place.pull(&fake.reference("latest")).await.unwrap();
    for is_terse in [false, true] {
        let name = if is_terse { "c" } else { "b" };
        let new = fake.with(|fake| {
            fake.is_terse = is_terse;
            fake.image("latest", &[(&layer(name), Gzip)])
        });
        assert_eq!(place.store.resolve(&fake.reference("latest")).await.unwrap(), new);
        assert_eq!(place.pull(&fake.reference("latest")).await.unwrap().digest, new);
        assert!(
            place.store.get(&new).await.unwrap().references.contains(&fake.reference("latest").to_string())
        );
    }
    assert!(place.store.get(&old).await.unwrap().references.is_empty());
}

#[tokio::test]
async fn an_index_leads_to_this_machines_image_or_says_what_there_is() {
    let (fake, place) = (Fake::start(None).await, place().await);
    let host = Platform::host().architecture;
    let index = |entries: &[(&Digest, &str)]| {
        let entries = entries.iter().map(|(digest, architecture)| {
            serde_json::json!({"mediaType": MANIFEST, "digest": digest.to_string(), "size": 1,
                "platform": {"architecture": architecture, "os": if *architecture == "unknown" { "unknown" } else { "linux" }}})
        });
        let entries: Vec<serde_json::Value> = entries.collect();
        serde_json::to_vec(&serde_json::json!({"schemaVersion": 2, "manifests": entries})).unwrap()
    };
    let ours = fake.with(|fake| {
        let (ours, _) = fake.manifest(&[(&layer("ours"), Gzip)], &host);
        let (other, _) = fake.manifest(&[(&layer("other"), Gzip)], "s390x");
        let both = index(&[(&other, "s390x"), (&other, "unknown"), (&ours, &host)]);
        fake.manifests.insert("both".to_owned(), (INDEX.to_owned(), both));
        let foreign = index(&[(&other, "s390x"), (&other, "unknown"), (&other, "riscv64")]);
        fake.manifests.insert("foreign".to_owned(), (INDEX.to_owned(), foreign));
        let (_, single) = fake.manifest(&[(&layer("other"), Gzip)], "s390x");
        fake.manifests.insert("single".to_owned(), (MANIFEST.to_owned(), single));
        ours
    });
    assert_eq!(place.store.resolve(&fake.reference("both")).await.unwrap(), ours);
    assert_eq!(place.pull(&fake.reference("both")).await.unwrap().digest, ours);
    assert_eq!(place.names(&ours).await, ["our-ours"]);
    fake.with(|fake| fake.log.clear());
    assert_eq!(place.store.resolve(&fake.reference("both")).await.unwrap(), ours);
    assert_eq!(fake.with(|fake| fake.log.len()), 1, "the index is known");

    let error = place.pull(&fake.reference("foreign")).await.unwrap_err().to_string();
    assert!(
        error.ends_with(&format!("has nothing for linux/{host}, only linux/riscv64, linux/s390x")),
        "{error}"
    );
    let error = place.pull(&fake.reference("single")).await.unwrap_err();
    assert!(matches!(error, ImageError::NoPlatform { .. }), "{error}");
}

#[tokio::test]
async fn a_wrong_digest_in_the_middle_leaves_nothing_of_it() {
    let (fake, place) = (Fake::start(None).await, place().await);
    let layers = [layer("a"), layer("b"), layer("c")];
    let digest = fake.with(|fake| {
        let digest = fake.image("1", &layers.each_ref().map(|layer| (layer.as_slice(), Plain)));
        fake.corrupt.insert(Digest::of(&layers[1]));
        digest
    });
    let error = place.pull(&fake.reference("1")).await.unwrap_err();
    assert_eq!(error.problem(), Problem::Refused);
    let text = error.to_string();
    assert!(text.starts_with(&format!("blob {} has the digest", Digest::of(&layers[1]))), "{text}");
    assert!(!place.has(&Digest::of(&layers[1])));
    assert!(place.store.get(&digest).await.is_err());
    assert!(place.store.list().await.unwrap().is_empty());
    // Once for it all: a wrong digest doesn't become right by asking again.
    assert_eq!(fake.with(|fake| fake.asked(&Digest::of(&layers[1]).to_string())), 1);

    fake.with(|fake| fake.corrupt.clear());
    place.pull(&fake.reference("1")).await.unwrap();
    assert_eq!(place.names(&digest).await.len(), 3);
}

#[tokio::test]
async fn a_manifest_or_content_other_than_promised_is_refused() {
    let (fake, place) = (Fake::start(None).await, place().await);
    let (digest, other) = fake.with(|fake| {
        let digest = fake.image("1", &[(&layer("a"), Gzip)]);
        let (_, other) = fake.manifest(&[(&layer("b"), Gzip)], "amd64");
        (digest, other)
    });
    // Another manifest under that digest.
    fake.with(|fake| fake.manifests.insert(digest.to_string(), (MANIFEST.to_owned(), other)));
    let pinned: Reference = format!("{}/team/app@{digest}", fake.address).parse().unwrap();
    assert!(matches!(place.pull(&pinned).await, Err(ImageError::WrongDigest { .. })));
    assert!(place.is_empty());

    // A configuration that names other content, and a layer that is something else than it is said to be.
    let (false_content, false_type) = fake.with(|fake| {
        let (_, bytes) = fake.manifest(&[(&layer("c"), Gzip)], "amd64");
        let text = String::from_utf8(bytes).unwrap();
        let wrong_type = text.replace("tar+gzip", "tar+zstd");
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let old: Digest = manifest["config"]["digest"].as_str().unwrap().parse().unwrap();
        let config = String::from_utf8(fake.blobs[&old].clone()).unwrap();
        let config = config.replace(&Digest::of(&layer("c")).to_string(), &Digest::of(b"else").to_string());
        let new = fake.blob(config.as_bytes());
        let wrong_content = text.replace(&old.to_string(), &new.to_string());
        for (tag, text) in [("content", &wrong_content), ("type", &wrong_type)] {
            fake.manifests.insert(tag.to_owned(), (MANIFEST.to_owned(), text.clone().into_bytes()));
        }
        (Digest::of(wrong_content.as_bytes()), Digest::of(wrong_type.as_bytes()))
    });
    place.pull(&fake.reference("content")).await.unwrap();
    let error = place.store.rootfs_image(&false_content).await.unwrap_err().to_string();
    assert!(error.starts_with("the content of layer 1 ("), "{error}");
    place.pull(&fake.reference("type")).await.unwrap();
    let error = place.store.rootfs_image(&false_type).await.unwrap_err().to_string();
    assert!(error.ends_with("it is said to be zstd and is gzip"), "{error}");
    assert_eq!(fs::read_dir(place.directory.path().join("images/rootfs")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(place.directory.path().join("images/tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_registry_that_stalls_is_given_up() {
    let fake = Fake::start(None).await;
    let config =
        RegistryConfig { idle_timeout: Duration::from_millis(300), attempts: 2, ..RegistryConfig::default() };
    let place = place_with(config, Limits::default()).await;
    fake.with(|fake| {
        fake.image("1", &[(&layer("a"), Plain)]);
        fake.stalling.insert(Digest::of(&layer("a")));
    });
    let error = place.pull(&fake.reference("1")).await.unwrap_err();
    assert_eq!(error.problem(), Problem::Registry);
    assert_eq!(error.to_string(), format!("registry {} sent nothing for 0.3 s", fake.address));
    assert_eq!(fake.with(|fake| fake.asked(&Digest::of(&layer("a")).to_string())), 2);
    assert!(!place.has(&Digest::of(&layer("a"))));

    // One that accepts and says nothing at all.
    let silent_one = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let reference: Reference = format!("{}/a", silent_one.local_addr().unwrap()).parse().unwrap();
    assert!(matches!(place.store.resolve(&reference).await, Err(ImageError::Stalled { .. })));
}

#[tokio::test]
async fn what_breaks_off_is_tried_again_within_bounds() {
    let (fake, place) = (Fake::start(None).await, place().await);
    let digest = fake.with(|fake| {
        (fake.breaking, fake.failing) = (2, 2);
        fake.image("1", &[(&layer("a"), Plain)])
    });
    assert_eq!(place.pull(&fake.reference("1")).await.unwrap().digest, digest);
    let never = fake.with(|fake| {
        fake.failing = 100;
        fake.log.clear();
        fake.image("2", &[(&layer("b"), Plain)])
    });
    let error = place.pull(&fake.reference("2")).await.unwrap_err().to_string();
    assert!(error.ends_with("it answers 503 Service Unavailable"), "{error}");
    assert_eq!(fake.with(|fake| fake.log.len()), 3);
    assert!(place.store.get(&never).await.is_err());
    let gone: Reference = "127.0.0.1:1/a".parse().unwrap();
    assert_eq!(place.pull(&gone).await.unwrap_err().problem(), Problem::Registry);
    fake.with(|fake| fake.failing = 0);
    let missing = place.pull(&fake.reference("none")).await.unwrap_err();
    assert_eq!(missing.problem(), Problem::NotFound);
    assert_eq!(missing.to_string(), format!("no image team/app:none in {}", fake.address));
}

fn auth_file(at: &Path, fake: &Fake, text: &str) -> RegistryConfig {
    let path = at.join("auth.json");
    fs::write(&path, format!(r#"{{"auths": {{"{}": {text}}}}}"#, fake.address)).unwrap();
    RegistryConfig { auth_files: vec![path], ..quick() }
}

#[tokio::test]
async fn doors_open_to_the_right_credentials_only() {
    let fake = Fake::start(None).await;
    fake.with(|fake| fake.image("1", &[(&layer("a"), Gzip)]));
    let files = tempfile::tempdir().unwrap();
    let none = quick();
    let right = auth_file(files.path(), &fake, r#"{"username": "user", "password": "secret"}"#);
    let others = tempfile::tempdir().unwrap();
    let wrong = auth_file(others.path(), &fake, r#"{"username": "user", "password": "guess"}"#);
    let thirds = tempfile::tempdir().unwrap();
    let refresh = auth_file(thirds.path(), &fake, r#"{"identitytoken": "refresh"}"#);
    for (door, config, opens) in [
        (Door::Token, &none, true),
        (Door::Token, &right, true),
        (Door::Basic, &none, false),
        (Door::Basic, &wrong, false),
        (Door::Basic, &right, true),
        (Door::Guarded, &none, false),
        (Door::Guarded, &wrong, false),
        (Door::Guarded, &right, true),
        (Door::Identity, &refresh, true),
        (Door::Identity, &right, false),
        (Door::Shut, &right, false),
    ] {
        fake.with(|fake| fake.door = door);
        let place = place_with(config.clone(), Limits::default()).await;
        let outcome = place.pull(&fake.reference("1")).await;
        if opens {
            outcome.unwrap();
            continue;
        }
        let error = outcome.unwrap_err();
        let how = if config == &none { "without credentials" } else { "to the credentials found for it" };
        assert_eq!(error.to_string(), format!("{} doesn't give team/app {how}", fake.address));
        assert_eq!(error.hint(), Some(format!("podman login {}", fake.address)));
        assert!(place.is_empty());
    }
}

#[tokio::test]
async fn credentials_stay_behind_when_blobs_are_elsewhere() {
    let (fake, elsewhere) = (Fake::start(None).await, Fake::start(None).await);
    let files = tempfile::tempdir().unwrap();
    let config = auth_file(files.path(), &fake, r#"{"username": "user", "password": "secret"}"#);
    let place = place_with(config, Limits::default()).await;
    elsewhere.with(|fake| fake.image("1", &[(&layer("a"), Gzip)]));
    fake.with(|fake| {
        fake.image("1", &[(&layer("a"), Gzip)]);
        fake.door = Door::Basic;
        fake.blobs_at = Some(format!("http://{}", elsewhere.address));
    });
    place.pull(&fake.reference("1")).await.unwrap();
    let log = elsewhere.with(|fake| std::mem::take(&mut fake.log));
    assert_eq!(log.len(), 2);
    assert!(log.iter().all(|(_, _, authorization)| authorization.is_none()), "{log:?}");

    // In a circle.
    fake.with(|fake| {
        fake.image("2", &[(&layer("b"), Gzip)]);
        fake.blobs_at = Some(String::new());
    });
    let error = place.pull(&fake.reference("2")).await.unwrap_err().to_string();
    assert!(error.ends_with("it redirects more than 5 times"), "{error}");
}

#[tokio::test]
async fn tls_needs_a_certificate_that_is_trusted() {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let fake = Fake::start(Some(tls)).await;
    fake.with(|fake| fake.image("1", &[(&layer("a"), Gzip)]));
    let name = format!("localhost:{}", fake.address.port());
    let reference: Reference = format!("{name}/team/app:1").parse().unwrap();
    let files = tempfile::tempdir().unwrap();
    let authority = files.path().join("ca.pem");
    fs::write(&authority, certificate.pem()).unwrap();

    let config = RegistryConfig { secure: vec![name], ..quick() };
    let untrusted = place_with(config.clone(), Limits::default()).await.pull(&reference).await.unwrap_err();
    assert!(untrusted.to_string().contains("TLS failed"), "{untrusted}");
    assert_eq!(fake.with(|fake| fake.log.len()), 0);
    let config = RegistryConfig { authorities: vec![authority], ..config };
    place_with(config, Limits::default()).await.pull(&reference).await.unwrap();
}

#[tokio::test]
async fn pulls_at_once_transfer_each_layer_once_and_end_with_the_last_who_waits() {
    let (fake, place) = (Fake::start(None).await, place().await);
    let digest = fake.with(|fake| {
        fake.delay = Duration::from_millis(100);
        fake.image("1", &[(&layer("a"), Gzip), (&layer("b"), Gzip)])
    });
    let pulls = (0..8).map(|_| {
        let (store, reference) = (place.store.clone(), fake.reference("1"));
        tokio::spawn(async move { store.pull(&reference, silent()).await })
    });
    for pull in futures::future::join_all(pulls).await {
        assert_eq!(pull.unwrap().unwrap().digest, digest);
    }
    assert_eq!(fake.with(|fake| fake.asked("/blobs/")), 3);
    let builds = (0..8).map(|_| {
        let store = place.store.clone();
        tokio::spawn(async move { store.rootfs_image(&digest).await })
    });
    let paths: BTreeSet<_> =
        futures::future::join_all(builds).await.into_iter().map(|path| path.unwrap().unwrap()).collect();
    assert_eq!(paths.len(), 1);

    // One that is dropped in the middle leaves nothing.
    fake.with(|fake| {
        fake.image("2", &[(&layer("c"), Plain)]);
        fake.stalling.insert(Digest::of(&layer("c")));
        fake.log.clear();
    });
    let (store, reference) = (place.store.clone(), fake.reference("2"));
    let pull = tokio::spawn(async move { store.pull(&reference, silent()).await });
    let temporary = place.directory.path().join("images/tmp");
    let count = || fs::read_dir(&temporary).unwrap().count();
    let bound = std::time::Instant::now() + Duration::from_secs(30);
    while count() == 0 && std::time::Instant::now() < bound {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(count(), 1);
    pull.abort();
    while count() > 0 && std::time::Instant::now() < bound {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(count(), 0);
    assert!(!place.has(&Digest::of(&layer("c"))));
}

#[tokio::test]
async fn five_hundred_layers_work_and_too_many_are_refused_before_they_come() {
    let (fake, place) = (Fake::start(None).await, place().await);
    let layers: Vec<Vec<u8>> = (0..500).map(|at| layer(&format!("{at:03}"))).collect();
    let both: Vec<(&[u8], crate::layer::Compression)> =
        layers.iter().map(|layer| (layer.as_slice(), Gzip)).collect();
    let digest = fake.with(|fake| fake.image("1", &both));
    assert_eq!(place.pull(&fake.reference("1")).await.unwrap().layers.len(), 500);
    let path = place.store.rootfs_image(&digest).await.unwrap();
    let all = read_back(&path);
    assert_eq!(all["our-499"].is, Is::File(b"499".repeat(1_000)));

    fake.with(|fake| fake.log.clear());
    let few = place_with(quick(), Limits { layers: 499, ..Limits::default() }).await;
    let error = few.pull(&fake.reference("1")).await.unwrap_err().to_string();
    assert_eq!(error, "manifest: the image has 500 layers, more than 499");
    let small = place_with(quick(), Limits { blob_bytes: 10, ..Limits::default() }).await;
    let error = small.pull(&fake.reference("1")).await.unwrap_err().to_string();
    assert!(
        error.starts_with("manifest: layer 1 (") && error.ends_with("is larger than 10 bytes"),
        "{error}"
    );
    assert_eq!(fake.with(|fake| fake.asked("/blobs/")), 0);
}
