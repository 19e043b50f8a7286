//! Streams as GNU tar and bsdtar write them, and streams that nobody should write.

use std::{fs, process::Command};

use super::{writer::*, *};

fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = Reader::new(bytes, 4_095, 65_536);
    let mut all = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.content(&entry, |at, piece| {
            let at = usize::try_from(at).unwrap();
            content.resize(at + piece.len(), 0);
            content[at..at + piece.len()].copy_from_slice(piece);
            Ok::<(), TarError>(())
        })?;
        content.resize(usize::try_from(entry.size).unwrap(), 0);
        all.push((entry, content));
    }
    Ok(all)
}

fn rule(bytes: &[u8]) -> String {
    match read(bytes) {
        Err(TarError::Broken { rule, .. }) => rule,
        other => panic!("{other:?}"),
    }
}

#[test]
fn metadata_comes_from_headers_and_extensions() {
    let long = "d/".repeat(150) + "f";
    let draft = Draft::new(b'0', &long)
        .mode(0o4755)
        .owner(3_000_000_000, 7)
        .xattr("user.a", b"\0=\n")
        .pax("mtime", "12.5")
        .pax("comment", "x");
    let all = read(&Writer::default().entry(draft, b"hello").symlink("l", "t").finish()).unwrap();
    let (entry, content) = &all[0];
    assert_eq!((entry.name.as_slice(), content.as_slice()), (long.as_bytes(), &b"hello"[..]));
    assert_eq!((entry.mode, entry.uid, entry.gid), (0o4755, 3_000_000_000, 7));
    assert_eq!((entry.mtime, entry.nanoseconds), (12, 500_000_000));
    assert_eq!(entry.xattrs, [(b"user.a".to_vec(), b"\0=\n".to_vec())]);
    assert_eq!((all[1].0.kind, all[1].0.link.as_slice()), (EntryKind::Symlink, &b"t"[..]));
}

/// What GNU tar makes of long names, links and sparse files, in each of its forms.
#[test]
fn what_gnu_tar_writes_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let deep = root.join("x".repeat(120)).join("y".repeat(120));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), b"deep").unwrap();
    std::os::unix::fs::symlink("z".repeat(200), root.join("link")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    let parts: Vec<u64> = (0..40).map(|part| part * 100_000).collect();
    for at in &parts {
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", *at).unwrap();
    }
    sparse.set_len(10_000_000).unwrap();

    for form in [
        &["--format=gnu"][..],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ] {
        let made = Command::new("tar")
            .args(["--sparse", "-C"])
            .arg(&root)
            .args(form)
            .args(["-cf", "-", "."])
            .output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        assert!(made.stdout.len() < 2_000_000, "tar kept the holes");
        let all = read(&made.stdout).unwrap();
        let find = |name: &str| all.iter().find(|(entry, _)| entry.name.ends_with(name.as_bytes())).unwrap();
        let (entry, content) = find("./sparse");
        assert_eq!(entry.size, 10_000_000, "{form:?}");
        let found: Vec<u64> = (0..100)
            .map(|part| part * 100_000)
            .filter(|at| content[usize::try_from(*at).unwrap()] != 0)
            .collect();
        assert_eq!(found, parts, "{form:?}");
        assert_eq!(find("file").1, b"deep");
        assert_eq!(find("link").0.link, "z".repeat(200).as_bytes());
    }
}

#[test]
fn damaged_and_hostile_streams_are_refused_with_the_reason() {
    let good = Writer::default().file("a", "hello").finish();
    assert_eq!(rule(&good[..700]), "ends in the middle");
    assert_eq!(rule(&good[..100]), "ends in the middle");
    let mut damaged = good.clone();
    damaged[0] ^= 1;
    assert!(rule(&damaged).contains("check sum"));

    let huge = |kind: u8| {
        let mut writer = Writer::default();
        writer.raw(&Draft::new(kind, "x"), 1 << 40, b"");
        rule(&writer.finish())
    };
    assert!(huge(b'x').contains("longer than"));
    assert!(huge(b'L').contains("longer than"));
    assert_eq!(huge(b'0'), "ends in the middle");

    for (key, value) in [
        ("size", "-1"),
        ("size", "99999999999999999999"),
        ("uid", "4294967295"),
        ("uid", "4294967296"),
        ("mtime", "1.x"),
        ("GNU.sparse.map", "0,5"),
        ("path", "a\0b"),
    ] {
        let draft = Draft::new(b'0', "a").pax(key, value);
        assert!(read(&Writer::default().entry(draft, b"hello").finish()).is_err(), "{key}={value}");
    }
    for map in ["0,1,0,4", "0,4", "0,5,9", "3,5", "18446744073709551615,5"] {
        let draft = Draft::new(b'0', "a").pax("GNU.sparse.size", "7").pax("GNU.sparse.map", map);
        let text = rule(&Writer::default().entry(draft, b"hello").finish());
        assert!(text.contains("sparse map") || text.contains("number"), "{map}: {text}");
    }
    let attribute = Draft::new(b'0', "a").xattr("user.x", vec![0; 70_000]);
    assert!(rule(&Writer::default().entry(attribute, b"").finish()).contains("65536"));
}

#[test]
fn an_old_directory_and_links_with_a_size_have_no_content() {
    let mut link = Draft::new(b'1', "l").link("a");
    link.size = Some(5);
    let bytes = Writer::default().file("a", "hello").entry(link, b"").file("d/", "").file("b", "x").finish();
    let kinds: Vec<EntryKind> = read(&bytes).unwrap().iter().map(|(entry, _)| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::File, EntryKind::HardLink, EntryKind::Directory, EntryKind::File]);
}
