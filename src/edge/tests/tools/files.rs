//! Files: what the tools do, and that nothing leads out of what is granted, whoever tries.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aegis_core::fleet::TargetOutcome;
use aegis_edge::tools::ToolResult;
use serde_json::{Value, json};

use crate::fixture::{Fixture, text, until};

fn write(host: &Fixture, name: &str, content: &[u8]) {
    let path = host.work.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The result of a call that must end well.
async fn ok(host: &Fixture, tool: &str, arguments: Value) -> (String, Value) {
    let shown = arguments.to_string();
    let result = host.run(tool, arguments).await;
    assert_eq!(result.outcome, TargetOutcome::Ok, "{tool} {shown}: {}", result.error);
    (text(&result), result.data.unwrap())
}

/// The error of a call that is begun and fails.
async fn fails(host: &Fixture, tool: &str, arguments: Value) -> String {
    let shown = arguments.to_string();
    let result = host.run(tool, arguments).await;
    assert_eq!(result.outcome, TargetOutcome::Error, "{tool} {shown}: {}", text(&result));
    assert!(result.stdout.bytes.is_empty() && result.data.is_none(), "{tool} {shown}");
    result.error
}

fn names(data: &Value, list: &str) -> Vec<String> {
    let entries = data[list].as_array().unwrap();
    entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_file_is_read_in_whole_in_part_and_in_base64() {
    let host = Fixture::open();
    write(&host, "a", "zwölf".as_bytes());
    let path = host.path("a");
    let (content, data) = ok(&host, "fs.read", json!({ "path": path })).await;
    assert_eq!((content.as_str(), &data["size"], &data["eof"]), ("zwölf", &json!(6), &json!(true)));
    // The limit falls into the middle of a character, which is left for the next read.
    let (content, data) = ok(&host, "fs.read", json!({"path": path, "offset": 1, "limit": 2})).await;
    assert_eq!((content.as_str(), &data["length"], &data["eof"]), ("w", &json!(1), &json!(false)));
    let (content, _) = ok(&host, "fs.read", json!({"path": path, "offset": 6})).await;
    assert_eq!(content, "");
    write(&host, "b", b"\xff\x00");
    let error = fails(&host, "fs.read", json!({"path": host.path("b")})).await;
    assert!(error.contains("encoding=base64"), "{error}");
    let (content, _) = ok(&host, "fs.read", json!({"path": host.path("b"), "encoding": "base64"})).await;
    assert_eq!(content, "/wA=");
    fs::File::create(host.work.path().join("c")).unwrap().set_len(5 << 20).unwrap();
    let (content, data) = ok(&host, "fs.read", json!({"path": host.path("c")})).await;
    assert_eq!((content.len(), &data["size"], &data["eof"]), (1 << 20, &json!(5 << 20), &json!(false)));
}

#[tokio::test]
async fn what_is_no_file_is_not_read_and_does_not_hang() {
    let host = Fixture::open();
    let fifo = host.work.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(host.work.path().join("socket")).unwrap();
    fs::create_dir(host.work.path().join("dir")).unwrap();
    for (name, message) in [("fifo", "is a FIFO"), ("socket", "is a socket"), ("dir", "is a directory")] {
        for (tool, more) in [
            ("fs.read", json!({})),
            ("fs.write", json!({"content": "x"})),
            ("fs.edit", json!({"old": "a", "new": "b"})),
        ] {
            let mut arguments = more;
            arguments["path"] = host.path(name).into();
            let error =
                tokio::time::timeout(Duration::from_secs(5), fails(&host, tool, arguments)).await.unwrap();
            assert!(error.contains(message), "{tool} {name}: {error}");
        }
    }
    // In a search they are passed over.
    write(&host, "a", b"x\n");
    let (_, data) = ok(&host, "fs.grep", json!({"path": host.path(""), "pattern": "."})).await;
    assert_eq!(data["files"], 1);
    let devices = Fixture::new("", r#""paths": ["/dev"]"#);
    assert!(fails(&devices, "fs.read", json!({"path": "/dev/zero"})).await.contains("is a device"));
}

#[tokio::test]
async fn no_symlink_leads_out_of_what_is_granted() {
    let host = Fixture::open();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    write(&host, "in/real", b"inside");
    symlink(outside.path(), host.work.path().join("dir")).unwrap();
    symlink(outside.path().join("secret"), host.work.path().join("file")).unwrap();
    let up = format!("../{}", outside.path().file_name().unwrap().to_str().unwrap());
    symlink(up, host.work.path().join("up")).unwrap();
    symlink("in/real", host.work.path().join("good")).unwrap();
    symlink(format!("/proc/self/root{}", outside.path().display()), host.work.path().join("magic")).unwrap();
    for path in ["dir/secret", "file", "up/secret", "magic/secret", "in/../dir/secret"] {
        let call = Fixture::call("fs.read", json!({"path": host.path(path)}));
        let Ok(prepared) = host.prepare(call) else {
            assert!(path.contains(".."), "{path}");
            continue;
        };
        let (sink, _outputs) = tokio::sync::mpsc::channel(100);
        let result = prepared.start(sink).result().await;
        assert!(result.error.contains("leads out of"), "{path}: {}", result.error);
    }
    let (content, _) = ok(&host, "fs.read", json!({"path": host.path("good")})).await;
    assert_eq!(content, "inside");
    for (tool, more) in
        [("fs.list", json!({})), ("fs.glob", json!({"pattern": "**"})), ("fs.grep", json!({"pattern": "."}))]
    {
        let mut arguments = more;
        arguments["path"] = host.path("dir").into();
        assert!(fails(&host, tool, arguments).await.contains("leads out of"), "{tool}");
    }
    for (tool, more) in [
        ("fs.write", json!({"content": "x", "create_parents": true})),
        ("fs.create_dir", json!({"parents": true})),
        ("fs.delete", json!({"recursive": true})),
        ("fs.edit", json!({"old": "secret", "new": "x"})),
    ] {
        let mut arguments = more;
        arguments["path"] = host.path("dir/secret").into();
        assert!(fails(&host, tool, arguments).await.contains("leads out of"), "{tool}");
    }
    // A walk sees symlinks and never follows them.
    let (_, data) = ok(&host, "fs.list", json!({"path": host.path(""), "recursive": true})).await;
    assert_eq!(names(&data, "entries"), ["dir", "file", "good", "in", "in/real", "magic", "up"]);
    let (_, data) = ok(&host, "fs.grep", json!({"path": host.path(""), "pattern": "secret|inside"})).await;
    assert_eq!(data["matches"].as_array().unwrap().len(), 1, "{data}");
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "secret");
}

#[tokio::test]
async fn a_symlink_that_is_swapped_all_the_time_leads_nowhere_else() {
    let host = Fixture::open();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("f"), "outside").unwrap();
    write(&host, "real/f", b"inside");
    let (work, out) = (host.work.path().to_path_buf(), outside.path().to_path_buf());
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let swapper = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            for target in [out.as_path(), std::path::Path::new("real")] {
                symlink(target, work.join("next")).unwrap();
                fs::rename(work.join("next"), work.join("link")).unwrap();
            }
        }
    });
    until("the link is there", || host.work.path().join("link").exists()).await;
    let mut inside = 0;
    for round in 0..400 {
        let result = host.run("fs.read", json!({"path": host.path("link/f")})).await;
        assert!(!text(&result).contains("outside"));
        inside += usize::from(text(&result) == "inside");
        let name = format!("link/new{round}");
        host.run("fs.write", json!({"path": host.path(&name), "content": "x"})).await;
        host.run("fs.delete", json!({"path": host.path("link/f2"), "recursive": true})).await;
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(inside > 0, "the race was never run");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_directory_that_becomes_a_symlink_under_a_walk_leads_nowhere_else() {
    let host = Fixture::open();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("f"), "outside").unwrap();
    write(&host, "dir/flips/f", b"inside");
    let (here, there) = (host.work.path().join("dir/flips"), host.work.path().join("other"));
    symlink(outside.path(), &there).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let swapper = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(rustix::fs::CWD, &here, rustix::fs::CWD, &there, exchange).unwrap();
        }
    });
    let mut inside = 0;
    for _ in 0..1_000 {
        let result = host.run("fs.grep", json!({"path": host.path("dir"), "pattern": "side"})).await;
        assert!(!text(&result).contains("outside"));
        inside += usize::from(text(&result).contains("inside"));
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(inside > 0, "the race was never run");
}

#[tokio::test]
async fn a_pushed_root_that_is_a_symlink_does_not_lead_out_of_the_owners() {
    let host = Fixture::new("mountPoints: [WORK]", r#""paths": ["WORK/app"]"#);
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("f"), "outside").unwrap();
    symlink(outside.path(), host.work.path().join("app")).unwrap();
    assert!(fails(&host, "fs.read", json!({"path": host.path("app/f")})).await.contains("leads out of"));
}

/// Every way to touch a path.
fn ways(path: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("fs.read", json!({ "path": path })),
        ("fs.write", json!({"path": path, "content": "x"})),
        ("fs.edit", json!({"path": path, "old": "s", "new": "x"})),
        ("fs.delete", json!({"path": path, "recursive": true})),
        ("fs.list", json!({ "path": path })),
        ("fs.glob", json!({"path": path, "pattern": "**"})),
        ("fs.grep", json!({"path": path, "pattern": "."})),
        ("cmd.run", json!({"command": "ls", "cwd": path})),
    ]
}

#[tokio::test]
async fn the_daemons_own_files_are_refused_whatever_is_granted() {
    let host = Fixture::new("", r#""commands": ["*"], "paths": ["/"]"#);
    let state = host.state.path();
    for name in ["node.key", "node.token", "secrets/db", "archive/old.key"] {
        fs::create_dir_all(state.join(name).parent().unwrap()).unwrap();
        fs::write(state.join(name), "secret").unwrap();
    }
    let mut paths: Vec<_> = ["node.key", "node.token", "secrets/db", "secrets", "archive/old.key", "."]
        .map(|name| state.join(name).to_str().unwrap().to_owned())
        .into();
    // Other names of the same files.
    symlink(state, host.work.path().join("by-symlink")).unwrap();
    fs::hard_link(state.join("node.key"), state.parent().unwrap().join("h4-hard-link")).ok();
    let hard = tempfile::Builder::new().prefix("hard").tempdir_in(state.parent().unwrap()).unwrap();
    fs::remove_file(state.parent().unwrap().join("h4-hard-link")).ok();
    fs::hard_link(state.join("node.key"), hard.path().join("key")).unwrap();
    paths.push(hard.path().join("key").to_str().unwrap().to_owned());
    for path in paths {
        for (tool, arguments) in ways(&path) {
            let error = fails(&host, tool, arguments).await;
            let named = error.contains("is the daemon's own") || error.contains("the daemon's own files");
            // Or it is of the wrong kind for the tool, which is found first.
            let kind = error.contains("is a directory") || error.contains("is a file");
            assert!(named || kind, "{tool} {path}: {error}");
        }
    }
    let create = json!({"path": state.join("new").to_str().unwrap(), "content": "x"});
    assert!(fails(&host, "fs.write", create).await.contains("daemon's own"));
    let above = json!({"path": state.parent().unwrap().to_str().unwrap(), "recursive": true});
    assert!(fails(&host, "fs.delete", above).await.contains("daemon's own files are beneath"));
    // A walk from above passes it over.
    let listed =
        ok(&host, "fs.glob", json!({"path": state.parent().unwrap(), "pattern": "**/node.key"})).await;
    let own = state.file_name().unwrap().to_str().unwrap();
    assert!(!listed.0.contains(own), "{}", listed.0);
    assert_eq!(fs::read_to_string(state.join("node.key")).unwrap(), "secret");
    assert_eq!(fs::read_dir(state).unwrap().count(), 4);
}

#[tokio::test]
async fn the_memory_of_no_process_is_read_by_way_of_proc() {
    let host = Fixture::new("", r#""commands": ["*"], "paths": ["/"]"#);
    let (pid, needle) = (std::process::id(), "a needle that only memory holds");
    let offset = needle.as_ptr().addr();
    for path in [
        "/proc/self/mem".to_owned(),
        "/proc/thread-self/mem".to_owned(),
        "/proc/self/maps".to_owned(),
        format!("/proc/{pid}/mem"),
        format!("/proc/{pid}/task/{pid}/mem"),
        format!("/proc/{pid}/environ"),
        "/proc/1/cmdline".to_owned(),
    ] {
        let read = json!({"path": path, "offset": offset, "limit": needle.len(), "encoding": "base64"});
        let grep = json!({"path": path, "pattern": "needle"});
        for (tool, arguments) in [("fs.read", read), ("fs.grep", grep)] {
            let error = fails(&host, tool, arguments).await;
            assert!(error.contains("hold in memory") && error.contains("; see"), "{tool} {path}: {error}");
        }
    }
    for path in ["/proc/self".to_owned(), format!("/proc/{pid}/fd")] {
        assert!(fails(&host, "fs.list", json!({ "path": path })).await.contains("hold in memory"), "{path}");
    }
    let cwd = json!({"command": "true", "cwd": format!("/proc/{pid}")});
    assert!(host.run("cmd.run", cwd).await.error.contains("hold in memory"));
    let (content, _) = ok(&host, "fs.read", json!({"path": "/proc/meminfo"})).await;
    assert!(content.contains("MemTotal"), "{content}");
}

#[tokio::test]
async fn what_is_the_daemons_own_is_not_even_begun_with_directories_on_the_way() {
    let host = Fixture::new("", r#""paths": ["/"]"#);
    let state = host.state.path();
    fs::write(state.join("node.key"), "secret").unwrap();
    let path = state.join("archive/deep/x");
    let path = path.to_str().unwrap();
    for (tool, arguments) in [
        ("fs.write", json!({"path": path, "content": "x", "create_parents": true})),
        ("fs.create_dir", json!({"path": path, "parents": true})),
    ] {
        assert!(fails(&host, tool, arguments).await.contains("daemon's own"), "{tool}");
        assert!(!state.join("archive").exists(), "{tool}");
    }
}

#[tokio::test]
async fn a_key_that_is_removed_while_it_is_read_is_refused_all_the_same() {
    let host = Fixture::new("", r#""paths": ["/"]"#);
    let key = host.state.path().join("node.key");
    let (path, stop) = (key.clone(), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let changer = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            fs::write(path.with_extension("new"), "secret").unwrap();
            fs::rename(path.with_extension("new"), &path).unwrap();
        }
    });
    until("the key is there", || key.exists()).await;
    for _ in 0..500 {
        let result = host.run("fs.read", json!({ "path": key.to_str().unwrap() })).await;
        assert_eq!(text(&result), "");
    }
    stop.store(true, Ordering::Relaxed);
    changer.join().unwrap();
}

#[tokio::test]
async fn listings_say_what_is_there_and_when_they_are_cut() {
    let host = Fixture::open();
    for name in ["b.conf", "a.conf", "sub/c.conf", "sub/deep/d.txt"] {
        write(&host, name, b"12345");
    }
    symlink("a.conf", host.work.path().join("l")).unwrap();
    let (shown, data) = ok(&host, "fs.list", json!({"path": host.path("")})).await;
    assert_eq!(names(&data, "entries"), ["a.conf", "b.conf", "l", "sub"]);
    assert_eq!((&data["entries"][0]["size"], &data["cut"]), (&json!(5), &json!(false)));
    assert_eq!(
        (&data["entries"][2]["type"], &data["entries"][2]["target"]),
        (&json!("symlink"), &json!("a.conf"))
    );
    assert!(shown.contains(" l -> a.conf\n") && shown.contains(" sub/\n"), "{shown}");
    let (shown, data) = ok(&host, "fs.list", json!({"path": host.path(""), "limit": 2})).await;
    assert_eq!((names(&data, "entries").len(), &data["cut"]), (2, &json!(true)));
    assert!(shown.ends_with("(cut after 2 entries)\n"), "{shown}");
    let (shown, data) = ok(&host, "fs.glob", json!({"path": host.path(""), "pattern": "**/*.conf"})).await;
    assert_eq!(names(&data, "entries"), ["a.conf", "b.conf", "sub/c.conf"]);
    assert_eq!(shown, "a.conf\nb.conf\nsub/c.conf\n");
    let (shown, _) = ok(&host, "fs.glob", json!({"path": host.path(""), "pattern": "*.conf"})).await;
    assert_eq!(shown, "a.conf\nb.conf\n");
}

#[tokio::test]
async fn a_listing_for_programs_stays_within_a_mebibyte() {
    let host = Fixture::open();
    let long = "x".repeat(240);
    for number in 0..5_000 {
        fs::write(host.work.path().join(format!("{number:05}{long}")), "").unwrap();
    }
    let (_, data) = ok(&host, "fs.list", json!({"path": host.path("")})).await;
    assert_eq!(data["cut"], true);
    assert!(data.to_string().len() < 1 << 20 && names(&data, "entries").len() > 2_000);
}

#[tokio::test]
async fn a_search_finds_lines_and_passes_over_what_is_no_text() {
    let host = Fixture::open();
    write(&host, "a.conf", b"Listen 80\nuser web\n# listen 81\n");
    write(&host, "sub/b.conf", b"listen 82");
    write(&host, "binary", b"listen\0");
    write(&host, "c.txt", b"listen 83\n\xff listen 84\n");
    write(&host, "long", ["y".repeat(200_000).as_bytes(), b"\nlisten 85\n"].concat().as_slice());
    let path = host.path("");
    let grep = |more: Value| {
        let mut arguments = json!({"path": path, "pattern": "^listen"});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    let (shown, data) = ok(&host, "fs.grep", grep(json!({}))).await;
    assert_eq!(shown, "c.txt:1:listen 83\nlong:2:listen 85\nsub/b.conf:1:listen 82\n");
    assert_eq!((&data["matches"][2]["line"], &data["files"]), (&json!(1), &json!(4)));
    let (shown, _) = ok(&host, "fs.grep", grep(json!({"ignore_case": true, "glob": "*.conf"}))).await;
    assert_eq!(shown, "a.conf:1:Listen 80\nsub/b.conf:1:listen 82\n");
    let (shown, data) = ok(&host, "fs.grep", grep(json!({"limit": 1}))).await;
    assert_eq!((shown.lines().count(), &data["cut"]), (2, &json!(true)));
    let (shown, _) = ok(&host, "fs.grep", json!({"path": host.path("a.conf"), "pattern": "user"})).await;
    assert_eq!(shown, format!("{}:2:user web\n", host.path("a.conf")));
}

#[tokio::test]
async fn a_file_is_written_as_a_whole_with_its_mode() {
    let host = Fixture::open();
    let mode = |name: &str| fs::metadata(host.work.path().join(name)).unwrap().permissions().mode() & 0o7777;
    let (_, data) = ok(&host, "fs.write", json!({"path": host.path("a"), "content": "one"})).await;
    assert_eq!((mode("a"), &data["created"]), (0o644, &json!(true)));
    fs::set_permissions(host.work.path().join("a"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(host.work.path().join("a")).unwrap().ino();
    let (_, data) = ok(&host, "fs.write", json!({"path": host.path("a"), "content": "two"})).await;
    assert_eq!((mode("a"), &data["created"]), (0o640, &json!(false)));
    assert_ne!(fs::metadata(host.work.path().join("a")).unwrap().ino(), before, "it is another file");
    ok(
        &host,
        "fs.write",
        json!({"path": host.path("k"), "content": "/wA=", "encoding": "base64", "mode": "0600"}),
    )
    .await;
    assert_eq!((fs::read(host.work.path().join("k")).unwrap(), mode("k")), (b"\xff\x00".to_vec(), 0o600));
    let error =
        fails(&host, "fs.write", json!({"path": host.path("a"), "content": "x", "overwrite": false})).await;
    assert!(error.contains("is there already"), "{error}");
    let error = fails(&host, "fs.write", json!({"path": host.path("x/y/z"), "content": "x"})).await;
    assert!(error.contains("there is no"), "{error}");
    let deep = json!({"path": host.path("x/y/z"), "content": "x", "create_parents": true});
    ok(&host, "fs.write", deep).await;
    symlink("a", host.work.path().join("l")).unwrap();
    let error = fails(&host, "fs.write", json!({"path": host.path("l"), "content": "x"})).await;
    assert!(error.contains("is a symlink"), "{error}");
    assert_eq!(fs::read_to_string(host.work.path().join("a")).unwrap(), "two");
    let error = fails(&host, "fs.write", json!({"path": host.path(""), "content": "x"})).await;
    assert!(error.contains("is itself what is granted"), "{error}");
    let left: Vec<_> = fs::read_dir(host.work.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[tokio::test]
async fn no_tool_gives_or_keeps_setuid_or_setgid() {
    let host = Fixture::open();
    let mode = |name: &str| fs::metadata(host.work.path().join(name)).unwrap().permissions().mode() & 0o7777;
    for given in ["4755", "2755", "6755", "07777"] {
        for (tool, more) in [("fs.write", json!({"content": "x"})), ("fs.create_dir", json!({}))] {
            let mut arguments = more;
            arguments["path"] = host.path("new").into();
            arguments["mode"] = given.into();
            let refused = host.prepare(Fixture::call(tool, arguments)).unwrap_err();
            assert_eq!(refused.rule, "arguments", "{tool} {given}");
            assert!(refused.message.contains("setuid or setgid"), "{refused}");
        }
    }
    for (tool, arguments) in [
        ("fs.write", json!({"path": host.path("a"), "content": "other"})),
        ("fs.edit", json!({"path": host.path("a"), "old": "one", "new": "other"})),
    ] {
        write(&host, "a", b"one");
        fs::set_permissions(host.work.path().join("a"), fs::Permissions::from_mode(0o6755)).unwrap();
        assert_eq!(mode("a"), 0o6755);
        ok(&host, tool, arguments).await;
        assert_eq!(mode("a"), 0o755, "{tool}");
    }
}

#[tokio::test]
async fn an_edit_replaces_what_stands_there_once() {
    let host = Fixture::open();
    write(&host, "a", b"one two two");
    let edit = |old: &str, all: bool| json!({"path": host.path("a"), "old": old, "new": "2", "all": all});
    let content = || fs::read_to_string(host.work.path().join("a")).unwrap();
    assert!(fails(&host, "fs.edit", edit("three", false)).await.contains("doesn't stand in"));
    assert!(fails(&host, "fs.edit", edit("two", false)).await.contains("stands 2 times"));
    assert_eq!(content(), "one two two");
    let (_, data) = ok(&host, "fs.edit", edit("two", true)).await;
    assert_eq!((content().as_str(), &data["replaced"]), ("one 2 2", &json!(2)));
    ok(&host, "fs.edit", edit("one", false)).await;
    assert_eq!(content(), "2 2 2");
}

#[tokio::test]
async fn directories_are_made_and_deleted() {
    let host = Fixture::open();
    let mode = |name: &str| fs::metadata(host.work.path().join(name)).unwrap().permissions().mode() & 0o7777;
    ok(&host, "fs.create_dir", json!({"path": host.path("a"), "mode": "1777"})).await;
    assert_eq!(mode("a"), 0o1777);
    let error = fails(&host, "fs.create_dir", json!({"path": host.path("a")})).await;
    assert!(error.contains("is there already"), "{error}");
    ok(&host, "fs.create_dir", json!({"path": host.path("a/b/c"), "parents": true})).await;
    let (_, data) = ok(&host, "fs.create_dir", json!({"path": host.path("a/b/c"), "parents": true})).await;
    assert_eq!(data["created"], false);
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("f"), "").unwrap();
    symlink(outside.path(), host.work.path().join("a/link")).unwrap();
    write(&host, "a/b/f", b"");
    let error = fails(&host, "fs.delete", json!({"path": host.path("a")})).await;
    assert!(error.contains("recursive=true"), "{error}");
    let (_, data) = ok(&host, "fs.delete", json!({"path": host.path("a"), "recursive": true})).await;
    assert_eq!(data["removed"], 5);
    assert!(!host.work.path().join("a").exists() && outside.path().join("f").exists());
    let error = fails(&host, "fs.delete", json!({"path": host.path("a")})).await;
    assert!(error.contains("there is no"), "{error}");
    let error = fails(&host, "fs.delete", json!({"path": host.path(""), "recursive": true})).await;
    assert!(error.contains("is itself what is granted"), "{error}");
}

#[tokio::test]
async fn work_on_files_heeds_deadline_and_cancel() {
    // The whole of /proc and /sys takes longer than this.
    let host = Fixture::new("", r#""paths": ["/"]"#);
    let endless = || Fixture::call("fs.grep", json!({"path": "/sys", "pattern": "no such line anywhere"}));
    let mut call = endless();
    call.deadline = Duration::from_millis(30);
    let began = std::time::Instant::now();
    let result: ToolResult = host.start(call).0.result().await;
    assert_eq!(result.outcome, TargetOutcome::TimedOut);
    let mut running = host.start(endless()).0;
    running.cancel();
    assert_eq!(running.result().await.outcome, TargetOutcome::Cancelled);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn data_that_is_larger_than_the_granted_output_is_left_out() {
    let host = Fixture::new("", r#""paths": ["WORK"], "maxOutput": "200""#);
    for number in 0..50 {
        write(&host, &format!("file{number}"), b"");
    }
    let result = host.run("fs.list", json!({"path": host.path("")})).await;
    assert_eq!((result.outcome, result.stdout.bytes.len(), result.data), (TargetOutcome::Ok, 200, None));
    assert!(result.stdout.total > 1_000);
}
