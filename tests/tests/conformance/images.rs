//! Images from registries and from disks, as a guest sees them.

use std::fs;

use aegis_tests::runtime::image::{Blob, Image, Layer, Packing};
use serde_json::json;

use crate::stage::{Stage, site};

crate::scenarios! {
    layers_lie_on_each_other_as_they_should,
    modes_and_owners_are_kept,
    an_index_gives_the_image_of_this_machine,
    an_image_comes_from_a_layout_and_from_an_archive_too,
    a_digest_names_an_image_and_a_tag_that_moved_is_noticed,
    images_are_listed_removed_and_pruned,
    what_cannot_be_pulled_is_told,
}

fn layers_lie_on_each_other_as_they_should(stage: &Stage) {
    let lower = Layer::new()
        .folder("data")
        .file("data/kept", 0o644, "lower\n")
        .file("data/changed", 0o644, "lower\n")
        .file("data/removed", 0o644, "lower\n")
        .folder("data/hidden")
        .file("data/hidden/below", 0o644, "lower\n");
    let upper = Layer::new()
        .file("data/changed", 0o644, "upper\n")
        .file("data/.wh.removed", 0o644, "")
        .folder("data/hidden")
        .file("data/hidden/.wh..wh..opq", 0o644, "")
        .file("data/hidden/above", 0o644, "upper\n");
    let image = Image::base().packed(&lower, Packing::Gzip).layer(&upper);
    let reference = stage.registry.push("test/layers:1", &image);
    let line = "cd /data; cat kept changed; ls -A . hidden";
    let said = stage.runtime.shell(&format!("--image {reference}"), line).ok();
    assert_eq!(said.stdout, "lower\nupper\n.:\nchanged\nhidden\nkept\n\nhidden:\nabove\n");
}

fn modes_and_owners_are_kept(stage: &Stage) {
    let layer = Layer::new()
        .file("odd/setuid", 0o4755, "x")
        .file("odd/secret", 0o600, "x")
        .folder("odd/sticky")
        .symlink("odd/link", "secret")
        .hard_link("odd/again", "odd/secret");
    let layer = Layer::archive(
        Layer::new().folder("odd").bytes().iter().chain(layer.bytes()).copied().collect::<Vec<u8>>(),
    );
    let reference = stage.registry.push("test/modes:1", &Image::base().layer(&layer));
    let line = "cd /odd; stat -c '%n %a %u %Y %h' setuid secret; readlink link";
    let said = stage.runtime.shell(&format!("--image {reference}"), line).ok();
    assert_eq!(said.stdout, "setuid 4755 0 1700000000 1\nsecret 600 0 1700000000 2\nsecret\n");
}

fn an_index_gives_the_image_of_this_machine(stage: &Stage) {
    let manifests: Vec<_> = [("arm64", "another's"), ("amd64", "ours")]
        .into_iter()
        .map(|(architecture, text)| {
            let (blobs, manifest) = site(text).build();
            for blob in &blobs {
                stage.registry.push_blob("test/index", blob);
            }
            stage.registry.push_manifest("test/index", architecture, &manifest);
            let mut descriptor = manifest.descriptor();
            descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
            descriptor
        })
        .collect();
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests});
    stage.registry.push_manifest("test/index", "1", &Blob::new(kind, index.to_string().into_bytes()));
    let reference = stage.registry.reference("test/index:1");
    let said = stage.runtime.run(&format!("run --image {reference} -- cat /srv/index.html")).ok();
    assert_eq!(said.stdout, "ours\n");
}

fn an_image_comes_from_a_layout_and_from_an_archive_too(stage: &Stage) {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    site("from a layout").write_layout(&layout);
    let said =
        stage.runtime.run(&format!("run --image oci:{} -- cat /srv/index.html", layout.display())).ok();
    assert_eq!(said.stdout, "from a layout\n");
    // As `docker save` writes it.
    let saved = Layer::new()
        .file(
            "manifest.json",
            0o644,
            json!([{"Config": "config.json", "RepoTags": ["a:1"], "Layers": ["layer.tar"]}]).to_string(),
        )
        .file("config.json", 0o644, Image::base().config_file().to_string())
        .file("layer.tar", 0o644, [Layer::base().bytes(), &[0; 1024][..]].concat());
    let archive = folder.path().join("saved.tar");
    fs::write(&archive, [saved.bytes(), &[0; 1024][..]].concat()).unwrap();
    let said =
        stage.runtime.run(&format!("run --image docker-archive:{} -- echo saved", archive.display())).ok();
    assert_eq!(said.stdout, "saved\n");
}

fn a_digest_names_an_image_and_a_tag_that_moved_is_noticed(stage: &Stage) {
    let name = format!("test/moving-{}", stage.backend);
    let (_, first) = site("first").build();
    let tag = stage.registry.push(&format!("{name}:1"), &site("first"));
    let page = |reference: &str| {
        stage.runtime.run(&format!("run --image {reference} -- cat /srv/index.html")).ok().stdout
    };
    assert_eq!(page(&tag), "first\n");
    stage.registry.push(&format!("{name}:1"), &site("second"));
    // What is here is run; what a tag means now is asked when a release is published.
    assert_eq!(page(&tag), "first\n");
    let app = crate::stage::App::web(&stage.runtime, "mover", &tag);
    assert_eq!(page(&tag), "second\n");
    drop(app);
    let digest = stage.registry.reference(&format!("{name}@{}", first.digest));
    assert_eq!(page(&digest), "first\n");
}

fn images_are_listed_removed_and_pruned(stage: &Stage) {
    // A daemon of its own: pruning takes what others would want.
    let runtime = stage.own("");
    let kept = stage.registry.push("test/kept:1", &site("kept"));
    let gone = stage.registry.push("test/gone:1", &site("gone"));
    let app = crate::stage::App::web(&runtime, "keeps", &kept);
    runtime.run(&format!("run --image {gone} -- true")).ok();
    runtime.run("image ls").ok().says(&kept).says(&gone);
    let refused = runtime.run(&format!("image rm {kept}"));
    assert_ne!(refused.code, 0, "a release needs it: {refused:#?}");
    runtime.run(&format!("image rm {gone}")).ok();
    runtime.run("image ls").ok().says(&kept).says_not(&gone);
    runtime.run(&format!("run --image {gone} -- true")).ok();
    runtime.run("image prune").ok();
    runtime.run("image ls").ok().says(&kept).says_not(&gone);
    app.serve();
    app.shows("kept");
}

fn what_cannot_be_pulled_is_told(stage: &Stage) {
    let missing = stage.registry.reference("test/none:1");
    let said = stage.runtime.run(&format!("run --image {missing} -- true"));
    assert_ne!(said.code, 0, "{said:#?}");
    assert!(said.stderr.contains("test/none"), "{said:#?}");
    // Nobody listens there.
    let said = stage.runtime.run("run --image 127.0.0.1:1/test/none:1 -- true");
    assert_ne!(said.code, 0, "{said:#?}");
    assert!(said.stderr.contains("127.0.0.1:1"), "{said:#?}");
    assert_ne!(stage.runtime.run("run --image 'not a reference' -- true").code, 0);
    assert_ne!(stage.runtime.run("run --image oci:/nowhere -- true").code, 0);
}
