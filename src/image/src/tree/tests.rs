//! Paths.

use super::*;

#[test]
fn paths_are_cut_into_names() {
    let bounds = Bounds { path_bytes: 100 };
    let parts = split(b"/a/./b//c/", bounds).unwrap();
    assert_eq!(parts.directories, [b"a", b"b"]);
    assert_eq!((parts.last, parts.is_absolute), (Some(&b"c"[..]), true));
    assert_eq!(split(b"./", bounds).unwrap().last, None);
    for wrong in [&b""[..], b"..", b"a/..", b"a/../b", b"a\0b", &[b'a'; 101]] {
        assert!(split(wrong, bounds).is_err(), "{wrong:?}");
    }
}

#[test]
fn links_lead_on_within_the_root() {
    let mut tree = Tree::new(Bounds { path_bytes: 100 });
    let link = |target: &[u8]| Kind::Symlink(target.into());
    let a = tree.make_directories(&[b"a"], 0).unwrap();
    let b = tree.make_directories(&[b"a", b"b"], 0).unwrap();
    tree.insert(a, b"up", 0, Attributes::implicit_directory(), link(b"../a/./b")).unwrap();
    tree.insert(b, b"root", 0, Attributes::implicit_directory(), link(b"/")).unwrap();
    tree.insert(b, b"above", 0, Attributes::implicit_directory(), link(b"../../..")).unwrap();
    assert_eq!(tree.find_directory(&[b"a", b"up"]), Ok(Some(b)));
    assert_eq!(tree.find_directory(&[b"a", b"up", b"root", b"a"]), Ok(Some(a)));
    assert_eq!(tree.find_directory(&[b"a", b"missing", b"x"]), Ok(None));
    assert!(tree.find_directory(&[b"a", b"b", b"above"]).is_err());
}
