//! `aegisd` killed at each of its steps, or without room on its disk: it comes again, the same command does the rest,
//! and nothing is left over. Guests are jails, except where only machines with disks pass a step.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::fs::FileTypeExt,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use aegis_tests::{
    Output, eventually,
    runtime::{
        BOOTS, Runtime,
        http::{Request, Response},
        image::{Blob, Image, Layer},
        processes,
    },
};
use serde_json::{Value, json};

/// A home whose daemon is killed again and again, and an image with a page.
struct Home {
    runtime: Runtime,
    image: String,
}

impl Home {
    fn new() -> Self {
        let runtime = Runtime::not_started("backend: namespaces");
        let layout = runtime.path().join("site");
        site().write_layout(&layout);
        Self { image: format!("oci:{}", layout.display()), runtime }
    }

    fn run(&self, line: &str) -> Output {
        self.runtime.run(line)
    }

    /// What a command prints, without the end of its line.
    #[track_caller]
    fn says(&self, line: &str) -> String {
        self.run(line).ok().stdout.trim().to_owned()
    }

    /// Starts a daemon that dies at a step, and runs a command that takes it. Then nothing runs any more, and a daemon
    /// without the fault is started, which removes what the other left.
    #[track_caller]
    fn dies_at(&self, step: &str, line: &str) -> Output {
        let output = self.dies(step, || self.run(line), |output| output.code == 0);
        let output = output.unwrap_or_else(|| panic!("{step} isn't passed by `{line}`"));
        self.comes_again();
        output
    }

    /// The same, with nothing started afterwards; none if `act` is done and the daemon lives on.
    #[track_caller]
    fn dies<T: std::fmt::Debug>(
        &self,
        step: &str,
        act: impl FnOnce() -> T,
        is_done: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        self.run("down").ok();
        let step = if step.contains(':') { step.to_owned() } else { format!("{step}:1") };
        // What it writes when it has just started may already be the write that kills it.
        let up = self.runtime.program().clone().env("AEGIS_FAULT", &step).run("up");
        let pid = self.runtime.pid();
        let lives = || pid.is_some_and(processes::runs);
        let output = act();
        if is_done(&output) && lives() {
            self.run("down").ok();
            self.runtime.up();
            return None;
        }
        let what = format!("{step} kills the daemon: {up:#?} {output:#?}");
        eventually(&what, BOOTS, || (!lives()).then_some(()));
        self.nobody_is_left(&step);
        Some(output)
    }

    /// Asks for an app to be served, and waits until it is. The command does the same, and stays.
    fn serve(&self, app: &str) -> std::io::Result<Response> {
        let request = Request::new("POST", &format!("/v1/apps/{app}/serve")).json(&json!({"wait": true}));
        request.send_to(&self.runtime.home().join("aegisd.sock"))
    }

    /// No process of this home is there any more.
    #[track_caller]
    fn nobody_is_left(&self, step: &str) {
        eventually(&format!("{step}: no process is left over"), BOOTS, || {
            processes_of(self.runtime.home().as_path()).is_empty().then_some(())
        });
    }

    /// A daemon without a fault, which removes what the one before it left.
    #[track_caller]
    fn comes_again(&self) {
        let socket = self.runtime.home().join("aegisd.sock");
        assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket(), "it was left behind");
        let left = names_in(&self.runtime.home().join("data/run"));
        self.runtime.up();
        self.is_tidy(&left);
    }

    /// There is a directory and a group for what runs, and for nothing else; nothing is half made.
    #[track_caller]
    fn is_tidy(&self, left: &[String]) {
        let home = self.runtime.home();
        let ids = |path: &str| -> Vec<(String, String)> {
            let all = self.runtime.get(path);
            let word = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_lowercase();
            let all = all.as_array().cloned().unwrap_or_default();
            all.iter().map(|one| (word(one, "id"), word(one, "state"))).collect()
        };
        let look = || {
            let (instances, tasks) = (ids("/v1/instances"), ids("/v1/tasks"));
            let over =
                |state: &str| !["starting", "running", "paused", "stopping", "queued"].contains(&state);
            let all = || instances.iter().chain(&tasks);
            let is_live = |id: &String| all().any(|(other, state)| other == id && !over(state));
            let known: Vec<&String> = all().map(|(id, _)| id).chain(left).collect();
            let groups = groups_of(Path::new("/sys/fs/cgroup"), 4);
            let groups = groups.into_iter().filter(|id| known.contains(&id));
            groups.chain(names_in(&home.join("data/run"))).filter(|id| !is_live(id)).collect::<Vec<_>>()
        };
        let end = Instant::now() + BOOTS;
        while !look().is_empty() {
            assert!(Instant::now() < end, "directories and groups are left: {:?}", look());
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(names_in(&home.join("data/images/tmp")), Vec::<String>::new());
        assert_eq!(half_made(&home), Vec::<String>::new());
        let home = fs::canonicalize(home).unwrap();
        let running = self.runtime.home().join("data/run").display().to_string();
        let mounts = processes::mounts_below(home.to_str().unwrap());
        assert!(mounts.iter().all(|mount| !mount.contains(&running)), "{mounts:#?}");
    }

    /// After an orderly end it starts without a word of warning, and a second start changes nothing.
    #[track_caller]
    fn is_quiet(&self) {
        self.run("down").ok();
        self.nobody_is_left("down");
        assert!(!self.runtime.home().join("aegisd.sock").exists());
        let log = self.runtime.home().join("data/aegisd.log");
        let before = fs::read_to_string(&log).unwrap().len();
        self.runtime.up();
        let pid = self.runtime.pid();
        self.runtime.up().says("already");
        assert_eq!(self.runtime.pid(), pid);
        self.is_tidy(&[]);
        let said = fs::read_to_string(&log).unwrap().split_off(before);
        assert!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
    }

    #[track_caller]
    fn serves(&self, app: &str) {
        let answer = self.serve(app).unwrap();
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
        self.shows(app);
    }

    #[track_caller]
    fn shows(&self, app: &str) {
        eventually(&format!("{app} shows its page"), BOOTS, || {
            self.runtime.page(app).text().contains("a page").then_some(())
        });
    }

    #[track_caller]
    fn releases(&self, app: &str) -> usize {
        self.runtime.get(&format!("/v1/apps/{app}/releases")).as_array().expect("releases").len()
    }
}

fn site() -> Image {
    Image::base().layer(&Layer::new().folder("srv").file("srv/index.html", 0o644, "a page\n"))
}

fn names_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The processes that name this home, in their words, their environment or their mounts.
fn processes_of(home: &Path) -> Vec<processes::Found> {
    let home = home.to_str().unwrap();
    let mut found = processes::that_show(home);
    let own = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for one in processes::all() {
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", one.pid)).unwrap_or_default();
        let shows = |mounts: &str| mounts.lines().any(|line| line.contains(&format!("{home}/")));
        if shows(&mounts) && !shows(&own) {
            found.push(one);
        }
    }
    // What this test runs itself is waited for where it is run.
    found
}

/// The ids of control groups of guests, down to a depth.
fn groups_of(directory: &Path, depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(directory) else { return found };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let name = entry.file_name().to_string_lossy().into_owned();
        found.extend(name.strip_prefix("aegis-").map(str::to_owned));
        if depth > 0 {
            found.extend(groups_of(&entry.path(), depth - 1));
        }
    }
    found
}

/// Files whose names say that they aren't whole.
fn half_made(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.extension().is_some_and(|end| ["half", "copy", "next"].iter().any(|half| end == *half)) {
            found.push(path.display().to_string());
        }
        // An image's own files may be called as they like.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && name != "images" {
            found.extend(half_made(&path));
        }
    }
    found
}

#[test]
fn a_daemon_killed_at_any_step_of_a_task_runs_it_the_next_time() {
    let home = Home::new();
    home.runtime.up();
    let line = "run --workspace kept -- sh -c 'echo more >>/workspace/file; wc -l </workspace/file'";
    assert_eq!(home.says(line), "1");
    for (number, step) in ["instance.boot.machine", "task.end.before", "task.end.after"].iter().enumerate() {
        let before: u32 =
            home.says("run --workspace kept -- sh -c 'wc -l </workspace/file'").parse().unwrap();
        let cut = home.dies_at(step, line);
        assert_ne!(cut.code, 0, "{step}: its end was never told: {cut:#?}");
        let tasks = home.runtime.get("/v1/tasks");
        let states: Vec<_> = tasks.as_array().unwrap().iter().map(|task| task["state"].clone()).collect();
        assert!(states.iter().all(|state| state == "SUCCEEDED" || state == "FAILED"), "{step}: {states:?}");
        assert_eq!(states.len(), 3 * number + 3, "{step}: what ended before is remembered");
        // The workspace is as the task left it, and whole: killed before it began, or after it had ended.
        let lines = before + u32::from(*step != "instance.boot.machine");
        assert_eq!(home.says(line), (lines + 1).to_string(), "{step}");
    }
    home.is_quiet();
}

#[test]
fn a_daemon_killed_at_any_step_of_an_app_does_the_rest_the_next_time() {
    let home = Home::new();
    home.runtime.up();
    let create =
        format!("app create --name web --image {} --expose 80 -- httpd -f -p 80 -h /srv", home.image);
    home.run(&create).ok();
    home.run("secret set web KEY sk-kept").ok();
    for (step, releases) in [("release.make.before", 0), ("release.make.after", 2)] {
        home.dies_at(step, "app publish web").exit(1);
        // All of it or nothing; what was acknowledged is there.
        assert_eq!(home.releases("web"), releases, "{step}");
        home.run("app publish web").ok();
        assert_eq!(home.releases("web"), releases + 1, "{step}");
    }
    for step in ["instance.boot.before", "instance.boot.machine", "instance.boot.after"] {
        home.dies(step, || home.serve("web"), Result::is_ok)
            .unwrap_or_else(|| panic!("{step} isn't passed"))
            .unwrap_err();
        home.comes_again();
        home.serves("web");
        assert_eq!(home.runtime.live("web").len(), 1, "{step}");
        assert_eq!(
            home.runtime
                .exec("web", "echo $KEY >>/workspace/keys; cat /workspace/keys")
                .ok()
                .stdout
                .lines()
                .last(),
            Some("sk-kept")
        );
    }
    assert_eq!(home.runtime.exec("web", "wc -l </workspace/keys").ok().stdout.trim(), "3");
    home.is_quiet();
    for step in ["instance.remove.before", "instance.remove.after"] {
        home.dies_at(step, "app delete web").exit(1);
        // It may be gone already: its declaration went first.
        let again = home.run("app delete web");
        assert!(again.code == 0 || again.stderr.contains("there is no app"), "{step}: {again:#?}");
        nothing_of_apps_is_left(&home, step);
        home.run(&create).ok();
        home.run("app publish web").ok();
        assert_eq!(home.releases("web"), 1, "{step}: nothing of the one before");
        home.serves("web");
        assert_eq!(home.runtime.exec("web", "echo \"<$KEY>\"; ls /workspace").ok().stdout, "<>\n", "{step}");
    }
    home.is_quiet();
}

#[track_caller]
fn nothing_of_apps_is_left(home: &Home, step: &str) {
    let apps = home.runtime.home().join("data/workspaces/apps");
    eventually(&format!("{step}: nothing is left of the app"), BOOTS, || {
        let instances = home.runtime.get("/v1/instances");
        (instances.as_array().is_some_and(Vec::is_empty) && names_in(&apps).is_empty()).then_some(())
    });
    assert_eq!(home.runtime.get("/v1/apps").as_array().map(Vec::len), Some(0), "{step}");
}

#[test]
fn a_daemon_killed_between_any_two_writes_of_an_apps_end_leaves_nothing_of_it() {
    let home = Home::new();
    let create =
        format!("app create --name web --image {} --expose 80 -- httpd -f -p 80 -h /srv", home.image);
    for place in ["before", "after"] {
        for number in 1.. {
            let step = format!("store.commit.{place}:{number}");
            home.runtime.up();
            home.run(&create).ok();
            home.run("app publish web").ok();
            home.serves("web");
            let Some(_) = home.dies(&step, || home.run("app delete web"), |output| output.code == 0) else {
                assert!(number > 2, "{step}");
                break;
            };
            home.comes_again();
            let again = home.run("app delete web");
            assert!(again.code == 0 || again.stderr.contains("there is no app"), "{step}: {again:#?}");
            nothing_of_apps_is_left(&home, &step);
        }
    }
    home.is_quiet();
}

#[test]
fn a_daemon_killed_between_any_two_writes_of_an_apply_serves_the_app_the_next_time() {
    let home = Home::new();
    let manifest = format!(
        "apiVersion: aegis.dev/v1\nkind: App\nmetadata: {{name: web}}\nspec:\n  image: {}\n  \
         command: [httpd, -f, -p, '80', -h, /srv]\n  expose: [80]\n  serve: true\n",
        home.image
    );
    fs::create_dir(home.runtime.path().join("apps")).unwrap();
    fs::write(home.runtime.path().join("apps/web.yaml"), manifest).unwrap();
    let apply = "apply --yes --owner web -f apps";
    for place in ["before", "after"] {
        for number in 1..20 {
            let step = format!("store.commit.{place}:{number}");
            let served = || {
                let applied = home.run(apply);
                let pid = home.runtime.pid();
                let socket = home.runtime.home().join("aegisd.sock");
                let condition = || Request::get("/v1/apps/web").send_to(&socket).ok().map(|app| app.text());
                eventually("it dies, or serves", BOOTS, || {
                    let lives = pid.is_some_and(processes::runs);
                    let is_served =
                        applied.code == 0 && condition().is_some_and(|app| app.contains(" serves "));
                    (!lives || is_served).then_some(lives)
                })
            };
            let Some(_) = home.dies(&step, served, |is_served| *is_served) else {
                assert!(number > 4, "{step}: so few writes?");
                home.run("app delete web").ok();
                nothing_of_apps_is_left(&home, &step);
                break;
            };
            home.comes_again();
            home.run(apply).ok();
            home.run("diff --owner web --exit-code -f apps").ok();
            home.shows("web");
            eventually(&format!("{step}: one serves"), BOOTS, || {
                let all = home.runtime.get("/v1/instances").as_array().map(Vec::len);
                (all == Some(1) && home.runtime.live("web").len() == 1).then_some(())
            });
            assert_eq!(home.releases("web"), 1, "{step}");
            home.run("app delete web").ok();
            nothing_of_apps_is_left(&home, &step);
        }
    }
    home.is_quiet();
}

#[test]
fn a_daemon_killed_while_it_rotates_or_sets_secrets_has_the_old_or_the_new() {
    let home = Home::new();
    home.runtime.up();
    home.run("secret set-workspace TOKEN sk-first").ok();
    let read = "run --secret TOKEN -- sh -c 'echo $TOKEN'";
    for step in ["before", "key", "rows", "after"].map(|place| format!("secrets.rotate.{place}")) {
        home.dies_at(&step, "secret rotate").exit(1);
        assert_eq!(home.says(read), "sk-first", "{step}");
        home.run("secret rotate").ok();
        assert_eq!(home.says(read), "sk-first", "{step}");
    }
    let mut value = "sk-first".to_owned();
    for place in ["before", "after"] {
        for number in 1.. {
            let step = format!("store.commit.{place}:{number}");
            let next = format!("sk-{place}-{number}");
            let line = format!("secret set-workspace TOKEN {next}");
            let cut = home.dies(&step, || home.run(&line), |output| output.code == 0);
            let is_over = cut.is_none();
            if !is_over {
                home.comes_again();
                let found = home.says(read);
                assert!(found == value || found == next, "{step}: {found}");
                home.run(&line).ok();
            }
            assert_eq!(home.says(read), next, "{step}");
            value = next;
            if is_over {
                assert!(number > 1, "{step}");
                break;
            }
        }
    }
    home.is_quiet();
}

#[test]
fn a_daemon_killed_while_a_port_is_given_gives_it_back() {
    let home = Home::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let line = format!("run --expose {free}:80 --image {} -- httpd -f -p 80 -h /srv", home.image);
    // The port's own row is written, the instance's isn't.
    home.dies_at("store.commit.after", &line).exit(1);
    assert_eq!(home.runtime.get("/v1/instances").as_array().map(Vec::len), Some(0));
    drop(TcpListener::bind(("127.0.0.1", free)).expect("nobody holds the port"));
    // What can't be had whole holds nothing either.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let two =
        format!("run --expose {free}:80 --expose {}:81 -- sleep 1000", taken.local_addr().unwrap().port());
    home.run(&two).exit(1);
    drop(TcpListener::bind(("127.0.0.1", free)).expect("nobody holds the port"));
    let serving = home.runtime.begin(&line);
    eventually("it serves", BOOTS, || serving.stdout().contains(&free.to_string()).then_some(()));
    serving.signal(rustix::process::Signal::INT);
    serving.wait();
    drop(TcpListener::bind(("127.0.0.1", free)).expect("nobody holds the port"));
    home.is_quiet();
}

#[test]
fn a_daemon_killed_while_it_makes_a_workspaces_disk_makes_it_whole_the_next_time() {
    let home = Home::new();
    home.runtime.configure("backend: qemu\nwarm: false");
    home.runtime.up();
    if home.runtime.status()["capabilities"]["is_vm"] != true {
        println!("not checked: no machine with disks runs here");
        return;
    }
    let line = "run --workspace kept -- sh -c 'cat /workspace/file; echo kept >/workspace/file'";
    let disk = home.runtime.home().join("data/workspaces/named/kept/disk.ext4");
    home.dies_at("workspace.make.before", line).exit(1);
    assert!(!disk.exists());
    // As if it had been killed in the middle of the making.
    fs::write(disk.with_extension("half"), "half a file system").unwrap();
    home.dies_at("workspace.make.after", line).exit(1);
    let whole = Command::new("/sbin/fsck.ext4").args(["-n", "-f"]).arg(&disk).output().unwrap();
    assert!(whole.status.success(), "{whole:?}");
    home.run(line).ok().says_not("kept");
    home.run(line).ok().says("kept");
    home.is_quiet();
}

/// A small file system for a home, gone when this is dropped.
struct Small<'a>(&'a Home);

impl<'a> Small<'a> {
    fn mount(home: &'a Home) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=16m,mode=700", "none"]).arg(home.runtime.home());
        command.output().is_ok_and(|output| output.status.success()).then_some(Self(home))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        // Also where a test fails: its daemon is found by its file.
        let _ = self.0.runtime.program().command("down").output();
        let _ = Command::new("umount").arg("--lazy").arg(self.0.runtime.home()).status();
    }
}

/// Bytes that don't get smaller.
fn noise(size: u32) -> Vec<u8> {
    (0..size / 4).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

#[test]
fn a_disk_that_is_full_during_a_pull_is_said_and_nothing_is_half_made() {
    let home = Home::new();
    let Some(_small) = Small::mount(&home) else {
        println!("not checked: mounting a small file system needs root");
        return;
    };
    home.runtime.configure("backend: namespaces");
    home.runtime.up();
    let large = home.runtime.path().join("large");
    Image::base().layer(&Layer::new().file("large", 0o644, noise(24 << 20))).write_layout(&large);
    let run = |image: &str| home.run(&format!("run --image {image} -- cat /srv/index.html"));
    let large = format!("oci:{}", large.display());
    for _ in 0..2 {
        run(&large).exit(1).says("No space left").says("aegis image prune");
        home.is_tidy(&[]);
        assert_eq!(home.runtime.get("/v1/images").as_array().map(Vec::len), Some(0));
    }
    // There is room for what is smaller, and for all else.
    run(&home.image).ok().says("a page");
    home.run("secret set-workspace TOKEN sk-kept").ok();
    home.is_quiet();
    run(&home.image).ok().says("a page");
}

/// A registry of one image that stops in the middle of each layer, as long as it is told to.
fn stalling(image: &Image) -> (SocketAddr, Arc<AtomicBool>) {
    let (blobs, manifest) = image.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stalls = Arc::new(AtomicBool::new(true));
    let told = stalls.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (blobs, manifest, told) = (blobs.clone(), manifest.clone(), told.clone());
            thread::spawn(move || {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).ok()?;
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let all: Vec<&Blob> = blobs.iter().chain([&manifest]).collect();
                let found = all.iter().find(|blob| head.contains(&blob.digest));
                let blob = if head.contains("/manifests/") { &manifest } else { *found? };
                let is_layer = blob.kind.contains("layer");
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
                     Docker-Content-Digest: {}\r\n\r\n",
                    blob.kind,
                    blob.bytes.len(),
                    blob.digest
                )
                .ok()?;
                let (begin, end) = blob.bytes.split_at(blob.bytes.len() / 2);
                if !head.starts_with("HEAD") {
                    stream.write_all(begin).ok()?;
                    if is_layer && told.load(Ordering::SeqCst) {
                        // Until the other side is gone.
                        let _ = stream.read(&mut [0]);
                        return None;
                    }
                    stream.write_all(end).ok()?;
                }
                Some(())
            });
        }
    });
    (address, stalls)
}

#[test]
fn a_daemon_killed_in_the_middle_of_a_pull_pulls_it_the_next_time() {
    let home = Home::new();
    home.runtime.up();
    let (registry, stalls) = stalling(&site());
    let line = format!("run --image {registry}/test/site:1 -- cat /srv/index.html");
    let pulling = home.runtime.begin(&line);
    let images = home.runtime.home().join("data/images");
    eventually("a part of it is here", BOOTS, || {
        let parts = fs::read_dir(images.join("tmp")).ok()?.flatten();
        parts.filter_map(|part| part.metadata().ok()).any(|part| part.len() > 0).then_some(())
    });
    home.runtime.kill();
    assert_ne!(pulling.wait().code, 0);
    home.nobody_is_left("a pull");
    home.comes_again();
    assert_eq!(home.runtime.get("/v1/images").as_array().map(Vec::len), Some(0), "no half image");
    stalls.store(false, Ordering::SeqCst);
    assert_eq!(home.says(&line), "a page");
    home.is_quiet();
}
