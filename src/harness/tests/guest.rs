//! The real harness, driven by frames: what it does for every backend. It runs in a jail here, as that takes no kernel.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod host;

use aegis_harness::{
    frame::{Kind, MAX_DATA},
    message::{self, ToGuest, ToHost, WindowSize},
    stream::{self, WINDOW},
};
use host::{Exit, Guest, Starter, command, shell, starters};

#[test]
fn exit_codes_and_signals_are_what_they_are() {
    for starter in starters() {
        let mut guest = Guest::ready(starter, |_| {});
        for code in [0, 1, 42, 137] {
            let exit = guest.shell(&format!("echo out; echo err >&2; exit {code}"));
            let (stdout, stderr) = ("out\n".to_owned(), "err\n".to_owned());
            assert_eq!(exit, Exit { code, signal: None, reason: None, stdout, stderr });
        }
        for (name, signal) in [("KILL", 9), ("TERM", 15), ("SEGV", 11)] {
            let exit = guest.shell(&format!("kill -{name} $$"));
            assert_eq!((exit.code, exit.signal), (128 + signal, Some(signal)));
        }
    }
}

#[test]
fn what_cannot_start_says_why() {
    let mut guest = Guest::ready(Starter::Same, |_| {});
    let mut try_to = |command: message::Command| {
        let process = guest.spawn(command);
        let exit = guest.exit(process);
        (exit.code, exit.reason.unwrap_or_default())
    };
    assert_eq!(try_to(command(&["nosuch"])), (127, "nosuch: no such program in the image".to_owned()));
    assert_eq!(try_to(command(&["/etc/hosts"])), (126, "/etc/hosts: not executable".to_owned()));
    assert_eq!(try_to(command(&["/bin"])), (126, "/bin: not executable".to_owned()));
    let lost = message::Command { directory: Some("/nowhere".to_owned()), ..command(&["true"]) };
    assert_eq!(try_to(lost), (126, "/nowhere: no such directory in the image".to_owned()));
    assert_eq!(guest.shell("printf '#!/lost/shell\\n' >s; chmod +x s; exec ./s").code, 127);
    let process = guest.spawn(command(&["./s"]));
    assert_eq!(guest.exit(process).code, 127);
}

#[test]
fn a_signal_reaches_the_whole_group() {
    let mut guest = Guest::ready(Starter::Same, |_| {});
    let process = guest.spawn(shell("sleep 1000 & echo here; wait"));
    guest.wait("the line", |guest| guest.text(stream::stdout(process)) == "here\n");
    guest.say(&ToGuest::Signal { process, signal: 15 });
    assert_eq!(guest.exit(process).signal, Some(15));
    guest.wait("the end of its children", |guest| guest.health().processes == 0);
}

#[test]
fn ten_at_once_do_not_mix() {
    for starter in starters() {
        let mut guest = Guest::ready(starter, |_| {});
        let started: Vec<u32> = (0..10)
            .map(|number| {
                guest.spawn(shell(&format!("for i in $(seq 500); do echo {number} $i; done; exit {number}")))
            })
            .collect();
        for (number, process) in started.into_iter().enumerate() {
            let exit = guest.exit(process);
            assert_eq!(exit.code, i32::try_from(number).unwrap());
            let expected: Vec<String> = (1..=500).map(|line| format!("{number} {line}")).collect();
            assert_eq!(exit.stdout.lines().collect::<Vec<_>>(), expected);
        }
    }
}

#[test]
fn standard_input_is_a_stream_with_an_end() {
    let mut guest = Guest::ready(Starter::Same, |_| {});
    let process = guest.spawn(message::Command { stdin: true, ..command(&["wc", "-c"]) });
    let input = stream::stdin(process);
    let mut credit = WINDOW as usize;
    let mut left = 1_000_000;
    while left > 0 {
        let piece = left.min(credit).min(MAX_DATA);
        guest.send(Kind::Data, input, &vec![b'x'; piece]);
        (left, credit) = (left - piece, credit - piece);
        if left > 0 && credit == 0 {
            guest.wait("credit", |guest| guest.credit.contains_key(&input));
            credit += guest.credit.remove(&input).unwrap() as usize;
        }
    }
    guest.send(Kind::End, input, &[]);
    assert_eq!(guest.exit(process).stdout.trim(), "1000000");
    // Without one, there is nothing to wait for.
    assert_eq!(guest.shell("cat; echo done").stdout, "done\n");
}

#[test]
fn a_terminal_is_one_and_changes_its_size() {
    for starter in starters() {
        let mut guest = Guest::ready(starter, |_| {});
        let size = WindowSize { rows: 24, columns: 80 };
        let process = guest.spawn(message::Command { terminal: Some(size), ..command(&["sh"]) });
        let output = stream::stdout(process);
        let type_in = |guest: &mut Guest, line: &str, answer: &str| {
            guest.send(Kind::Data, stream::stdin(process), format!("{line}\n").as_bytes());
            guest.wait(answer, |guest| guest.text(output).contains(answer));
        };
        type_in(&mut guest, "stty size", "\n24 80");
        type_in(&mut guest, "tty", "\n/dev/pts/0");
        guest.say(&ToGuest::Resize { process, size: WindowSize { rows: 50, columns: 132 } });
        type_in(&mut guest, "stty size", "\n50 132");
        // A program that is interrupted from the keyboard is in the foreground group of the session's terminal.
        type_in(&mut guest, "trap 'echo int''errupted' INT; echo set", "\nset");
        guest.send(Kind::Data, stream::stdin(process), &[3]);
        // The prompt after it, where the shell waits again.
        guest.wait("the signal", |guest| {
            guest.text(output).split_once("interrupted").is_some_and(|(_, after)| after.contains(['#', '$']))
        });
        guest.send(Kind::End, stream::stdin(process), &[]);
        assert_eq!(guest.exit(process).signal, None);
    }
}

#[test]
fn much_output_comes_whole_and_only_against_credit() {
    const PIECES: usize = 1600;
    let mut guest = Guest::ready(Starter::Same, |_| {});
    guest.grants = false;
    let process =
        guest.spawn(shell(&format!("dd if=/dev/zero bs=65536 count={PIECES} 2>/dev/null; echo end")));
    let output = stream::stdout(process);
    guest.wait("a window of it", |guest| guest.bytes(output).len() == WINDOW as usize);
    // What others say isn't held up by it, and nothing more comes.
    assert_eq!(guest.shell("echo other").stdout, "other\n");
    assert_eq!(guest.bytes(output).len(), WINDOW as usize);
    guest.grants = true;
    guest.send(Kind::Credit, output, &WINDOW.to_le_bytes());
    let ended =
        guest.until(|message| matches!(message, ToHost::Exited { process: of, .. } if *of == process));
    assert!(matches!(ended, ToHost::Exited { code: 0, .. }));
    assert_eq!(guest.bytes(output).len(), PIECES * 65536 + 4, "all of it came before the exit");
    assert!(guest.ended.contains(&output));
}

#[test]
fn a_terminals_last_words_wait_for_credit() {
    let mut guest = Guest::ready(Starter::Same, |_| {});
    guest.grants = false;
    let line = "stty -opost; dd if=/dev/zero bs=1000 count=263 2>/dev/null; echo end";
    let process = guest.spawn(message::Command { terminal: Some(WindowSize::default()), ..shell(line) });
    let output = stream::stdout(process);
    guest.wait("a window of it", |guest| guest.bytes(output).len() == WINDOW as usize);
    // Longer than a terminal that others hold is listened to after its process.
    assert_eq!(guest.shell("sleep 0.5; echo other").stdout, "other\n");
    guest.grants = true;
    guest.send(Kind::Credit, output, &WINDOW.to_le_bytes());
    guest.until(|message| matches!(message, ToHost::Exited { process: of, code: 0, .. } if *of == process));
    assert_eq!(guest.bytes(output).len(), 263_000 + 4);
}

#[test]
fn what_a_process_leaves_behind_does_not_hold_up_its_exit_and_lives_on() {
    let mut guest = Guest::ready(Starter::Same, |_| {});
    let line = "(while [ ! -e go ]; do sleep 0.01; done; echo late; echo later; touch alive) & echo now";
    assert_eq!(guest.shell(line).stdout, "now\n");
    let look = "touch go; for i in $(seq 1000); do [ -e alive ] && exit 7; sleep 0.01; done";
    assert_eq!(guest.shell(look).code, 7, "it wrote to a pipe that nobody reads and went on");
}

#[test]
fn orphans_are_reaped() {
    let mut guest = Guest::ready(Starter::Same, |_| {});
    assert_eq!(guest.shell("for i in $(seq 50); do (sleep 0 & ) ; done").code, 0);
    let exit = guest.shell(
        "for i in $(seq 1000); do grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null || exit 0; sleep 0.01; done; exit 1",
    );
    assert_eq!(exit.code, 0);
}

#[test]
fn ports_of_the_guest_are_reached_and_closed_ones_refused() {
    for starter in starters() {
        let mut guest = Guest::ready(starter, |_| {});
        guest.say(&ToGuest::Connect { connection: 1, port: 81 });
        let refused = guest.until(|message| matches!(message, ToHost::Refused { connection: 1, .. }));
        let reason = "nothing listens on port 81".to_owned();
        assert_eq!(refused, ToHost::Refused { connection: 1, reason });

        let server = guest.spawn(shell("nc -l -p 8080 -e sh -c 'cat; echo bye'"));
        guest.until(|message| matches!(message, ToHost::Started { process } if *process == server));
        let connection = guest.connect(8080);
        let both = stream::connection(connection);
        guest.send(Kind::Data, both, b"ping\n");
        guest.wait("the echo", |guest| guest.text(both) == "ping\n");
        guest.send(Kind::End, both, &[]);
        guest.wait("the other half", |guest| guest.ended.contains(&both));
        assert_eq!(guest.text(both), "ping\nbye\n");
        assert_eq!(guest.exit(server).code, 0);
    }
}

#[test]
fn a_server_on_the_other_loopback_address_is_found() {
    let mut guest = Guest::ready(Starter::Same, |_| {});
    let server = guest.spawn(shell("echo hello >index.html; httpd -f -p [::1]:8081"));
    let connection = guest.connect(8081);
    let both = stream::connection(connection);
    guest.send(Kind::Data, both, b"GET / HTTP/1.0\r\n\r\n");
    guest.wait("its answer", |guest| guest.ended.contains(&both));
    assert!(guest.text(both).ends_with("hello\n"), "{}", guest.text(both));
    guest.say(&ToGuest::Signal { process: server, signal: 9 });
}

#[test]
fn a_shutdown_is_asked_for_first_and_then_done() {
    let mut guest = Guest::ready(Starter::Same, |_| {});
    let line = "trap 'echo asked; exit 7' TERM; echo set; while :; do sleep 0.05; done";
    guest.say(&ToGuest::Start { process: stream::MAIN, command: Box::new(shell(line)) });
    let stubborn = guest.spawn(shell("trap '' TERM; echo set; while :; do sleep 0.05; done"));
    for process in [stream::MAIN, stubborn] {
        guest.wait("its trap", |guest| guest.text(stream::stdout(process)) == "set\n");
    }
    guest.say(&ToGuest::Shutdown);
    let exit = guest.exit(stream::MAIN);
    assert_eq!((exit.code, exit.stdout.as_str()), (7, "set\nasked\n"));
    assert_eq!(guest.exit(stubborn).signal, Some(9), "after five seconds it isn't asked any more");
    assert_eq!(guest.end(), 0);
}

#[test]
fn nothing_starts_before_the_setup() {
    let mut guest = Guest::start(Starter::Same, |_| {});
    let exit = guest.shell("true");
    assert_eq!((exit.code, exit.reason.as_deref()), (126, Some("the guest isn't set up")));
}

#[test]
fn its_health_is_that_of_its_processes() {
    let mut guest = Guest::ready(Starter::Same, |_| {});
    let before = guest.health();
    assert_eq!(before.processes, 0);
    guest.shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done");
    let process = guest.spawn(shell("sleep 1000"));
    guest.until(|message| matches!(message, ToHost::Started { process: of } if *of == process));
    let after = guest.health();
    assert!(after.cpu_us > before.cpu_us, "{before:?} {after:?}");
    assert_eq!(after.processes, 1);
    assert!(after.memory_kib > 0);
}
