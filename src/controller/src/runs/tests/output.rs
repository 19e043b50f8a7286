//! Output while it comes: in order, bounded, and nobody's business but that of those who watch.

use super::*;

const KIB: usize = 1024;

fn piece(command: &CommandId, size: usize) -> Event {
    Event::CommandProgress { command: command.clone(), stderr: false, data: vec![b'x'; size].into() }
}

impl Daemon {
    /// Prints so much, in pieces.
    async fn print(&mut self, command: &CommandId, bytes: usize) {
        for _ in 0..bytes / (32 * KIB) {
            self.send(&piece(command, 32 * KIB));
        }
        self.heartbeat().await;
    }
}

impl Following {
    /// What was printed until the end, in bytes.
    async fn printed(&mut self) -> usize {
        let mut bytes = 0;
        while let Some(piece) = self.next().await {
            for event in piece.unwrap() {
                if let RunChange::Output { data, .. } = event.what {
                    assert!(self.results().is_empty(), "a result comes after what was printed");
                    bytes += data.len();
                }
            }
        }
        bytes
    }
}

#[tokio::test(start_paused = true)]
async fn output_is_told_before_the_result_and_not_kept() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(command()).await;
    let invoked = fleet.daemons[0].invoked().await;
    let id = invoked.order.command;
    let data = Bytes::from_static(b"\xff\x00 any bytes");
    fleet.daemons[0].send(&Event::CommandProgress { command: id.clone(), stderr: true, data: data.clone() });
    fleet.daemons[0].answer(&id, TargetOutcome::Ok).await;
    let mut seen = Vec::new();
    while let Some(piece) = run.next().await {
        seen.extend(piece.unwrap());
    }
    let output = RunChange::Output { target: 0, stderr: true, data };
    let at = seen.iter().position(|event| event.what == output).unwrap();
    assert_eq!(seen[at].sequence, 0);
    let result = seen.iter().position(|event| matches!(event.what, RunChange::Result(_))).unwrap();
    assert!(at < result);
    let kept = fleet.kept(&run.id()).await;
    assert!(!kept.iter().any(|event| matches!(event.what, RunChange::Output { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_sends_more_than_it_may_is_cut_off() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(command()).await;
    let invoked = fleet.daemons[0].invoked().await;
    assert_eq!(invoked.window as usize, 256 * KIB);
    let id = invoked.order.command;
    // Nobody takes anything, so there is no credit.
    fleet.daemons[0].print(&id, 256 * KIB).await;
    fleet.daemons[0].send(&piece(&id, 1));
    let end = fleet.daemons[0].end().await.unwrap();
    assert!(end.message.contains("more output than it was given credit for"), "{end}");
    let mut bytes = 0;
    while let Some(piece) = run.next().await {
        for event in piece.unwrap() {
            if let RunChange::Output { data, .. } = event.what {
                bytes += data.len();
            }
        }
    }
    assert_eq!(bytes, 256 * KIB, "what was allowed is told");
    assert_eq!(run.results()[0].outcome, TargetOutcome::Disconnected);
    assert!(fleet.audit().contains(&format!("envelope Refused {}", fleet.hosts[0].id)), "{}", fleet.audit());
}

#[tokio::test(start_paused = true)]
async fn who_watches_slowly_holds_the_host_back_and_who_takes_lets_it_go_on() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(command()).await;
    let id = fleet.daemons[0].invoked().await.order.command;
    fleet.daemons[0].print(&id, 160 * KIB).await;
    settle().await;
    fleet.daemons[0].got_nothing().await;
    // Handed out is not taken: only who asks for the next piece has taken this one.
    let mut waiting = false;
    while !waiting {
        let first = run.next().await.unwrap().unwrap();
        waiting = first.iter().any(|event| matches!(event.what, RunChange::Output { .. }));
    }
    fleet.daemons[0].got_nothing().await;
    let next = tokio::time::timeout(Duration::from_millis(1), run.events.next()).await;
    assert!(next.is_err(), "there is no more");
    let credit = Command::OutputCredit { command: id.clone(), bytes: 160 * 1024 };
    assert_eq!(fleet.daemons[0].command().await.unwrap(), credit);
    // So there may be 256 KiB again, and no more.
    fleet.daemons[0].print(&id, 256 * KIB).await;
    fleet.daemons[0].answer(&id, TargetOutcome::Ok).await;
    assert_eq!(run.printed().await, 256 * KIB);
}

#[tokio::test(start_paused = true)]
async fn without_anybody_who_watches_output_is_dropped_and_the_run_goes_on() {
    let mut fleet = Fleet::of(1).await;
    let run = fleet.start(command()).await;
    let id = fleet.daemons[0].invoked().await.order.command;
    let run_id = run.id();
    drop(run);
    for _ in 0..20 {
        fleet.daemons[0].send(&piece(&id, 32 * KIB));
        fleet.daemons[0].send(&piece(&id, 32 * KIB));
        fleet.daemons[0].send(&piece(&id, 32 * KIB));
        fleet.daemons[0].send(&piece(&id, 32 * KIB));
        let credit = fleet.daemons[0].command().await.unwrap();
        assert_eq!(credit, Command::OutputCredit { command: id.clone(), bytes: 128 * 1024 });
    }
    fleet.daemons[0].answer(&id, TargetOutcome::Ok).await;
    settle().await;
    assert_eq!(results(&fleet.kept(&run_id).await)[0].outcome, TargetOutcome::Ok);
}

#[tokio::test(start_paused = true)]
async fn with_two_who_watch_the_slower_one_counts() {
    let mut fleet = Fleet::of(1).await;
    let mut fast = fleet.start(command()).await;
    let which = GetRun { run: fast.id(), follow: true };
    let events = fleet.operator.service.get_run(fleet.operator.call("GetRun"), which).await.unwrap();
    let slow = Following::of(events);
    let id = fleet.daemons[0].invoked().await.order.command;
    fleet.daemons[0].print(&id, 128 * KIB).await;
    while tokio::time::timeout(Duration::from_millis(1), fast.events.next()).await.is_ok() {}
    fleet.daemons[0].got_nothing().await;
    // It hangs up: what it hadn't taken is gone.
    drop(slow);
    let credit = Command::OutputCredit { command: id, bytes: 128 * 1024 };
    assert_eq!(fleet.daemons[0].command().await.unwrap(), credit);
}

#[tokio::test(start_paused = true)]
async fn output_of_a_command_that_the_host_does_not_have_goes_nowhere() {
    let mut fleet = Fleet::of(2).await;
    let mut run = fleet.start(command()).await;
    let mine = fleet.daemons[0].invoked().await.order.command;
    let theirs = fleet.daemons[1].invoked().await.order.command;
    fleet.daemons[1].print(&mine, 64 * KIB).await;
    fleet.daemons[0].answer(&mine, TargetOutcome::Ok).await;
    fleet.daemons[0].print(&mine, 64 * KIB).await;
    fleet.daemons[1].answer(&theirs, TargetOutcome::Ok).await;
    assert_eq!(run.printed().await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_more_commands_there_are_the_smaller_is_the_window_of_each() {
    let mut fleet = Fleet::of(130).await;
    let _run = fleet.start(facts()).await;
    let first = fleet.daemons[0].invoked().await.window as usize;
    let last = fleet.daemons[129].invoked().await.window as usize;
    assert_eq!(first, 256 * KIB);
    assert!((4 * KIB..64 * KIB).contains(&last), "{last}");
}

#[tokio::test(start_paused = true)]
async fn all_windows_together_have_a_bound() {
    let mut fleet = Fleet::of(200).await;
    let mut all = 0;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(fleet.start(facts()).await);
        for daemon in &mut fleet.daemons {
            all += daemon.invoked().await.window as usize;
        }
    }
    assert!(all <= 16 * KIB * KIB + 600 * 4 * KIB, "{all}");
}

#[tokio::test(start_paused = true)]
async fn small_pieces_are_gathered_when_many_wait_and_none_is_lost() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(command()).await;
    let id = fleet.daemons[0].invoked().await.order.command;
    let sent = 5_000;
    for _ in 0..sent {
        fleet.daemons[0].send(&piece(&id, 1));
    }
    fleet.daemons[0].heartbeat().await;
    fleet.daemons[0].answer(&id, TargetOutcome::Ok).await;
    let (mut pieces, mut bytes) = (0, 0);
    while let Some(events) = run.next().await {
        for event in events.unwrap() {
            if let RunChange::Output { data, .. } = event.what {
                assert!(run.results().is_empty(), "a result comes after what was printed");
                (pieces, bytes) = (pieces + 1, bytes + data.len());
            }
        }
    }
    assert_eq!((pieces, bytes), (256 * KIB / 64 + 1, sent));
}

#[tokio::test(start_paused = true)]
async fn what_was_gathered_is_told_as_soon_as_there_is_room() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(command()).await;
    let id = fleet.daemons[0].invoked().await.order.command;
    for _ in 0..5_000 {
        fleet.daemons[0].send(&piece(&id, 1));
    }
    fleet.daemons[0].heartbeat().await;
    let mut bytes = 0;
    while bytes < 5_000 {
        // The host says nothing: it only takes what it is told.
        tokio::select! {
            piece = run.next() => for event in piece.unwrap().unwrap() {
                if let RunChange::Output { data, .. } = event.what {
                    bytes += data.len();
                }
            },
            command = fleet.daemons[0].command() => panic!("{command:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_is_told_whole_and_its_end_is_kept() {
    let mut fleet = Fleet::of(1).await;
    let mut run = fleet.start(command()).await;
    let id = fleet.daemons[0].invoked().await.order.command;
    let whole = [vec![b'a'; 400 * KIB], vec![b'b'; 200 * KIB]].concat();
    let large = CommandResult {
        stdout: whole.clone().into(),
        stdout_bytes: 10_000_000,
        ..result(&id, TargetOutcome::Ok)
    };
    fleet.daemons[0].send(&Event::CommandResult(large));
    fleet.daemons[0].heartbeat().await;
    let (_, told) = run.end().await;
    assert_eq!(told[0].stdout, whole);
    let kept = results(&fleet.kept(&run.id()).await);
    assert_eq!(kept[0].stdout, whole[whole.len() - 256 * KIB..]);
    assert_eq!(kept[0].stdout_bytes, 10_000_000);
    assert!(kept[0].is_cut());
}

#[tokio::test(start_paused = true)]
async fn large_results_wait_for_room_and_all_come() {
    let mut fleet = Fleet::of(30).await;
    let mut run = fleet.start(facts()).await;
    for daemon in &mut fleet.daemons {
        let id = daemon.invoked().await.order.command;
        let large = CommandResult { stdout: vec![b'x'; KIB * KIB].into(), ..result(&id, TargetOutcome::Ok) };
        daemon.send(&Event::CommandResult(large));
        daemon.heartbeat().await;
    }
    // Nobody took anything so far: what is too much for the memory is read from the disk.
    let (end, results) = run.end().await;
    assert_eq!((end.state, results.len()), (RunState::Ok, 30));
    assert!(results[0].stdout.len() < results[29].stdout.len(), "the oldest is from the disk");
    assert!(run.kept.iter().map(|event| event.sequence).eq(1..=run.kept.len() as u64));
}
