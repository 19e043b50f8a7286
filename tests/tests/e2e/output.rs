//! What hosts print: all of it, as it is, as fast as it is read, and never obeyed by a terminal.

use std::{
    fs,
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use aegis_tests::{Daemon, SOON, Terminal, World, eventually, fleet::events};
use serde_json::{Value, json};

/// No multiple of any buffer, so that what is lost or stands twice moves everything behind it.
const PIECE: usize = 1_048_583;
const MEBIBYTE: u64 = 1 << 20;

/// A host on which anything may be done.
fn one() -> (World, Daemon) {
    let world = World::new();
    let host = world.host("web-1");
    world.allow_everything();
    (world, host)
}

/// A file of which a shell can print any number: lines that all differ.
fn piece(world: &World) -> (PathBuf, Vec<u8>) {
    let numbers: Vec<String> = (0..200_000).map(|number| number.to_string()).collect();
    let mut text = numbers.join("\n");
    text.truncate(PIECE);
    (world.write("piece", &text), text.into_bytes())
}

/// A program whose output is read by the test, when it likes.
struct Reader(Child);

impl Reader {
    fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap())
    }

    /// Reads to the end; everything must be this piece, again and again. Gives how often.
    #[track_caller]
    fn read_all(mut self, piece: &[u8]) -> usize {
        let mut stdout = self.0.stdout.take().unwrap();
        let mut read = vec![0; piece.len()];
        let mut count = 0;
        loop {
            let mut filled = 0;
            while filled < read.len() {
                match stdout.read(&mut read[filled..]).unwrap() {
                    0 => break,
                    more => filled += more,
                }
            }
            match filled {
                0 => break,
                _ => assert!(read[..filled] == *piece, "piece {count} isn't as it was written"),
            }
            count += 1;
        }
        assert!(self.0.wait().unwrap().success());
        count
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How much memory a process had at most so far.
#[track_caller]
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A line for a shell, in a call of a single host.
fn call(world: &World, script: &str) -> Command {
    world.admin().command(&format!("edge call --tool cmd.run --arg 'cmd={script}'"))
}

#[test]
fn a_hundred_megabytes_arrive_whole_and_take_nobodys_memory() {
    let (mut world, host) = one();
    let (path, piece) = piece(&world);
    let controller = world.controller.as_mut().unwrap().process().id();
    let begin = [peak(controller), peak(host.process.id())];
    let script = format!("for i in $(seq 100); do cat {}; done", path.display());
    let operator = Reader::start(call(&world, &script));
    assert_eq!(operator.read_all(&piece), 100);
    for (pid, begin) in [controller, host.process.id()].into_iter().zip(begin) {
        let grown = peak(pid).saturating_sub(begin);
        assert!(grown < 48 * MEBIBYTE, "{} MiB more", grown / MEBIBYTE);
    }
    let runs = world.run("edge fleet runs -o json").ok().array();
    let id = runs[0]["run_id"].as_str().unwrap();
    let kept = world.run(&format!("edge fleet show {id} -o json")).ok().json();
    let result = &kept["hosts"][0];
    assert_eq!(result["stdout_bytes"], 100 * PIECE);
    // What is kept of it is its end, and bounded.
    let end = result["stdout"].as_str().unwrap();
    assert!(!end.is_empty() && end.len() <= 256 * 1024 && piece.ends_with(end.as_bytes()));
}

#[test]
fn bytes_that_are_no_text_come_as_they_are_in_a_pipe_and_as_base64_in_json() {
    let (world, _host) = one();
    let script = r"printf '\000\377\376a\303\050\033[31m\r\n'".replace('\'', "\"");
    let bytes = b"\0\xff\xfea\xc3\x28\x1b[31m\r\n";
    assert_eq!(call(&world, &script).output().unwrap().stdout, bytes);

    let fleet = format!("edge fleet run --target all --tool cmd.run --arg 'cmd={script}'");
    let piped = world.admin().command(&fleet).output().unwrap().stdout;
    assert!(piped.starts_with(&[b"web-1 | ".as_slice(), bytes].concat()), "{piped:?}");

    let run = world.run(&format!("{fleet} -o json")).ok();
    let expected = json!({ "base64": "AP/+YcMoG1szMW0NCg==" });
    let of = |kind: &str, field: &str| -> Vec<Value> {
        let events = events(&run.stdout).into_iter().filter(|event| event["event"] == kind);
        events.map(|event| event[field].clone()).collect()
    };
    assert_eq!((of("output", "data"), of("result", "stdout")), (vec![expected.clone()], vec![expected]));
}

#[test]
fn an_endless_line_comes_whole_in_pieces_that_say_whose_they_are() {
    const LENGTH: usize = 20_000_000;
    let (mut world, _host) = one();
    let controller = world.controller.as_mut().unwrap().process().id();
    let begin = peak(controller);
    let script = format!("head -c {LENGTH} /dev/zero | tr \"\\0\" x");
    let run = world.fleet_run(&format!("--target all --tool cmd.run --arg 'cmd={script}'")).ok();
    let lines: Vec<&str> = run.stdout.lines().filter(|line| line.ends_with('x')).collect();
    assert!(lines.iter().all(|line| line.starts_with("web-1 | x") && line.len() < 200_000));
    assert_eq!(lines.iter().map(|line| line.len() - "web-1 | ".len()).sum::<usize>(), LENGTH);
    let grown = peak(controller).saturating_sub(begin);
    assert!(grown < 48 * MEBIBYTE, "{} MiB more", grown / MEBIBYTE);
}

#[test]
fn a_reader_that_stops_holds_the_program_up_and_nothing_else_and_loses_nothing() {
    const PIECES: usize = 60;
    let (world, _host) = one();
    let (path, piece) = piece(&world);
    let progress = world.path().join("progress");
    let script = format!(
        "for i in $(seq {PIECES}); do cat {}; echo $i >>{}; done",
        path.display(),
        progress.display()
    );
    let operator = Reader::start(call(&world, &script));
    let written = || fs::read_to_string(&progress).unwrap_or_default().lines().count();
    // It comes to a stand: several looks and whole calls in between see the same.
    let mut looks = (0, 0);
    let held = eventually("the program is held up", SOON, || {
        world.run("edge call --tool host.facts -o json").ok();
        looks = if looks.0 == written() { (looks.0, looks.1 + 1) } else { (written(), 0) };
        (looks.1 == 5).then_some(looks.0)
    });
    assert!(held < PIECES, "all was printed, and nobody has read it");
    // Another run's output on the same host isn't held up.
    assert_eq!(
        world.run("edge call --tool cmd.run --arg command=echo --arg args=hello").ok().stdout,
        "hello\n"
    );
    assert_eq!(world.node("web-1")["status"], "Connected");
    assert_eq!(operator.read_all(&piece), PIECES);
    assert_eq!(written(), PIECES);
}

#[test]
fn a_context_bounds_what_is_printed_and_what_is_missing_is_said() {
    let world = World::new();
    let _host = world.host("web-1");
    let bounded = aegis_tests::fleet::open_context(&world) + "      maxOutput: 1KiB\n";
    world.allow(&bounded);
    let script = "--target all --tool cmd.run --arg 'cmd=head -c 100000 /dev/zero | tr \"\\0\" x'";
    let shown = world.fleet_run(script).ok().says("web-1: 98976 bytes of its output are missing here");
    assert_eq!(shown.stdout.matches('x').count(), 1024, "each byte once");
    let json = world.fleet_run(&format!("{script} -o json")).ok();
    let all = events(&json.stdout);
    let outputs = all.iter().filter(|event| event["event"] == "output");
    assert_eq!(outputs.map(|event| event["data"].as_str().unwrap().len()).sum::<usize>(), 1024);
    let result = all.iter().find(|event| event["event"] == "result").unwrap();
    assert_eq!((&result["stdout_bytes"], &result["outcome"]), (&json!(100_000), &json!("ok")));
    assert_eq!(result["stdout"].as_str().unwrap().len(), 1024);
    let id = world.run("edge fleet runs -o json").ok().array()[0]["run_id"].as_str().unwrap().to_owned();
    let shown = world.run(&format!("edge fleet show {id} --output-of web-1")).ok();
    shown.says("these are the last 1024 of 100000 bytes; more isn't kept");
}

#[test]
fn a_terminal_obeys_nothing_that_a_host_prints() {
    let (world, _host) = one();
    let program = world.admin().env("TERM", "dumb");
    let script = r#"printf "\033]0;owned\007\r\302\233 1\n"; printf "\033[2Jgone\n" >&2; exit 1"#;
    let flags = format!("--tool cmd.run --arg 'cmd={script}'");
    let shown = Terminal::start(program.command(&format!("edge fleet run --target all {flags}"))).wait();
    let check = |shown: &aegis_tests::Output| {
        assert!(!shown.stdout.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{shown:#?}");
        let both = shown.stdout.contains("^[]0;owned^G^M") && shown.stdout.contains("^[[2Jgone");
        assert!(both, "{shown:#?}");
    };
    check(&shown);
    check(&Terminal::start(program.command(&format!("edge call {flags}"))).wait());
    let id = world.run("edge fleet runs -o json").ok().array()[1]["run_id"].as_str().unwrap().to_owned();
    check(&Terminal::start(program.command(&format!("edge fleet show {id}"))).wait());
}
