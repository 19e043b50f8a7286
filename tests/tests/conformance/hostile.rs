//! Images that try to get out of their root: refused, with nothing written outside.

use std::{fs, path::Path};

use aegis_tests::{
    Output,
    runtime::image::{Image, Layer},
};

use crate::stage::Stage;

crate::scenarios! {
    names_that_lead_out_are_refused,
    links_that_lead_out_are_refused,
    devices_are_refused,
    bombs_are_refused,
    a_layer_that_is_not_what_its_digest_says_is_refused,
}

/// Runs an image that must be refused.
#[track_caller]
fn refused(stage: &Stage, name: &str, image: &Image) -> Output {
    let reference = stage.registry.push(&format!("hostile/{name}:1"), image);
    let said = stage.runtime.run(&format!("run --image {reference} -- true"));
    assert_ne!(said.code, 0, "{name}: {said:#?}");
    assert!(said.stderr.contains("error"), "{name}: {said:#?}");
    // It failed in the unpacking and not in the guest, and the daemon lives on.
    assert!(![126, 127].contains(&said.code), "{name}: {said:#?}");
    stage.runtime.run("status").ok().says("running");
    said
}

/// Runs an image that must be refused, or must not get out.
#[track_caller]
fn confined(stage: &Stage, name: &str, image: &Image) {
    let reference = stage.registry.push(&format!("hostile/{name}:1"), image);
    let said = stage.runtime.run(&format!("run --image {reference} -- true"));
    assert!(said.code == 0 || said.stderr.contains("error"), "{name}: {said:#?}");
    stage.runtime.run("status").ok().says("running");
}

/// A folder of the host that nothing may be written to, as seen from the root and from any depth.
fn outside(stage: &Stage) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir_in(stage.runtime.path()).unwrap();
    let path = folder.path().to_str().unwrap().trim_start_matches('/').to_owned();
    (folder, path)
}

#[track_caller]
fn is_empty(folder: &Path) {
    let found: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(found.is_empty(), "{found:?}");
}

fn names_that_lead_out_are_refused(stage: &Stage) {
    let (folder, path) = outside(stage);
    let up = "../".repeat(12);
    for (name, entry) in [("up", format!("{up}{path}/x")), ("middle", format!("etc/../../{up}{path}/x"))] {
        let entry = if entry.len() > 99 { format!("{}x", "../".repeat(12)) } else { entry };
        refused(stage, name, &Image::base().layer(&Layer::new().file(&entry, 0o644, "out")));
        is_empty(folder.path());
    }
    let whiteout = Layer::new().file("../.wh.victim", 0o644, "");
    refused(stage, "whiteout", &Image::base().layer(&whiteout));
}

fn links_that_lead_out_are_refused(stage: &Stage) {
    let (folder, path) = outside(stage);
    let victim = folder.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    let through = Layer::new().symlink("gate", &format!("/{path}")).file("gate/new", 0o644, "out");
    // A link leads on within the root of the image, wherever it would lead on a host: it may be taken, and gets no further.
    confined(stage, "symlink", &Image::base().layer(&through));
    let relative = Layer::new().symlink("gate", &"../".repeat(12)).file(
        "gate/tmp/aegis-conformance-escape",
        0o644,
        "out",
    );
    confined(stage, "relative-symlink", &Image::base().layer(&relative));
    assert!(!Path::new("/tmp/aegis-conformance-escape").exists());
    // In another layer than the link.
    let gate = Layer::new().symlink("gate", &format!("/{path}"));
    let file = Layer::new().file("gate/victim", 0o644, "out");
    confined(stage, "symlink-of-a-lower-layer", &Image::base().layer(&gate).layer(&file));
    let hard = Layer::new().hard_link("stolen", &format!("../../../../../../../../{path}/victim"));
    refused(stage, "hard-link", &Image::base().layer(&hard));
    let behind = Layer::new().symlink("gate", &format!("/{path}")).hard_link("stolen", "gate/victim");
    refused(stage, "hard-link-through-a-symlink", &Image::base().layer(&behind));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn devices_are_refused(stage: &Stage) {
    let said = refused(stage, "device", &Image::base().layer(&Layer::new().block_device("disk")));
    assert!(said.stderr.contains("device"), "{said:#?}");
}

fn bombs_are_refused(stage: &Stage) {
    // A file that says to have a terabyte: told by its header, before a byte is written.
    refused(stage, "terabyte", &Image::base().layer(&Layer::new().claims("huge", 1 << 40)));
    // A hundred terabytes in a hundred files, so that none of them alone is too big.
    let many = (0..100).fold(Layer::new(), |layer, number| layer.claims(&format!("huge-{number}"), 1 << 40));
    refused(stage, "many", &Image::base().layer(&many));
}

fn a_layer_that_is_not_what_its_digest_says_is_refused(stage: &Stage) {
    let image = Image::base()
        .layer(&Layer::new().file("first", 0o644, "first"))
        .layer(&Layer::new().file("second", 0o644, format!("second {}", stage.backend)))
        .layer(&Layer::new().file("third", 0o644, "third"));
    let repository = format!("hostile/damaged-{}", stage.backend);
    let reference = stage.registry.push(&format!("{repository}:1"), &image);
    let (blobs, _) = image.build();
    let file = stage.registry.blob_file(&blobs[2].digest);
    let mut bytes = fs::read(&file).unwrap();
    let honest = bytes.clone();
    bytes[512] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let said = stage.runtime.run(&format!("run --image {reference} -- true"));
    assert_ne!(said.code, 0, "{said:#?}");
    assert!(said.stderr.contains("digest") || said.stderr.contains("sha256"), "{said:#?}");
    // Nothing of it is kept: once the registry is right, so is the pull.
    fs::write(&file, &honest).unwrap();
    stage.runtime.run(&format!("run --image {reference} -- cat /second")).ok().says("second");
}
