//! The committed protobuf code is what the proto files say. `AEGIS_UPDATE=1` writes it anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{fs, path::Path};

const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/gen/aegis.v1.rs");
const FILES: [&str; 2] = ["aegis/v1/edge.proto", "aegis/v1/operator.proto"];

#[test]
fn the_generated_code_is_current() {
    let folder = tempfile::tempdir().unwrap();
    let descriptors = protox::compile(FILES, [PROTO]).unwrap();
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::codec::LeanCodec")
        .btree_map(".")
        .bytes(".")
        .emit_rerun_if_changed(false)
        .out_dir(folder.path())
        .compile_fds(descriptors)
        .unwrap();
    let fresh = fs::read_to_string(folder.path().join("aegis.v1.rs")).unwrap();
    if std::env::var_os("AEGIS_UPDATE").is_some() {
        fs::create_dir_all(Path::new(COMMITTED).parent().unwrap()).unwrap();
        fs::write(COMMITTED, &fresh).unwrap();
    }
    let committed = fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        fresh == committed,
        "proto/ changed: run AEGIS_UPDATE=1 cargo test -p aegis-wire --test generated"
    );
}
