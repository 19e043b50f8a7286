//! What this host shall have, by the controller's word: given to the local runtime again and again, and reported whenever it
//! stands otherwise.

use std::{sync::Arc, time::Duration};

use aegis_wire::edge::{Assigned, ObjectReport, ReportPhase};
use futures::future::BoxFuture;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

/// While something is being made so.
const SOON: Duration = Duration::from_secs(1);
/// When everything is as it should be: drift is noticed after so long at most.
const LATER: Duration = Duration::from_secs(30);
/// After failures: doubled from [`SOON`] up to this.
const AT_LAST: Duration = Duration::from_mins(1);

/// What is said of each when the host's owner takes none.
const NOT_TAKEN: &str =
    "this host's owner takes no apps from the controller (apps: false in its aegis-config.yaml)";

/// What makes it so.
pub trait LocalRuntime: Send + Sync {
    /// Lets the runtime have these objects, and none that came from the controller before and isn't among them. Says how
    /// each stands now.
    fn converge<'a>(&'a self, objects: &'a [Assigned]) -> BoxFuture<'a, Vec<ObjectReport>>;
}

/// How the host stands with an assignment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub revision: u64,
    pub objects: Vec<ObjectReport>,
}

/// What the controller assigned, and whether the host's owner takes it.
#[derive(Clone)]
struct Wish {
    revision: u64,
    objects: Arc<Vec<Assigned>>,
    is_taken: bool,
}

type Wanted = Option<Wish>;

/// What is assigned, and the task that sees to it. Before anything is assigned there is no task.
pub(super) struct Assignment {
    runtime: Option<Arc<dyn LocalRuntime>>,
    wanted: watch::Sender<Wanted>,
    reports: mpsc::Receiver<Report>,
    report: mpsc::Sender<Report>,
    task: Option<JoinHandle<()>>,
    is_taken: bool,
}

impl Drop for Assignment {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Assignment {
    /// Nothing yet; `is_taken`: whether the host's owner takes what will come.
    pub fn new(runtime: Option<Arc<dyn LocalRuntime>>, is_taken: bool) -> Self {
        let (report, reports) = mpsc::channel(1);
        Self { runtime, wanted: watch::channel(None).0, reports, report, task: None, is_taken }
    }

    /// The host's owner takes it from now on, or takes it no more: then what came from the controller goes.
    pub fn take(&mut self, is_taken: bool) {
        self.is_taken = is_taken;
        self.wanted.send_if_modified(|wanted| {
            let changed = wanted.as_mut().filter(|wish| wish.is_taken != is_taken);
            changed.map(|wish| wish.is_taken = is_taken).is_some()
        });
    }

    /// These and no others, from now on.
    pub fn replace(&mut self, revision: u64, objects: Vec<Assigned>) {
        let wish = Wish { revision, objects: Arc::new(objects), is_taken: self.is_taken };
        self.wanted.send_replace(Some(wish));
        if self.task.is_none() {
            let seeing = see_to(self.runtime.clone(), self.wanted.subscribe(), self.report.clone());
            self.task = Some(tokio::spawn(seeing));
        }
    }

    /// The next report. It can be waited for again and again.
    pub async fn next(&mut self) -> Report {
        match self.reports.recv().await {
            Some(report) => report,
            // There is always a sender: this one.
            None => std::future::pending().await,
        }
    }
}

/// Goes on until dropped.
async fn see_to(
    runtime: Option<Arc<dyn LocalRuntime>>,
    mut wanted: watch::Receiver<Wanted>,
    report: mpsc::Sender<Report>,
) {
    let mut said: Option<Report> = None;
    let mut failures = 0;
    loop {
        let Some(Wish { revision, objects, is_taken }) = wanted.borrow_and_update().clone() else { return };
        let reports = match &runtime {
            Some(runtime) if is_taken => runtime.converge(&objects).await,
            Some(runtime) => {
                runtime.converge(&[]).await;
                all_failed(&objects, NOT_TAKEN)
            }
            None => all_failed(&objects, "this daemon was started without a runtime"),
        };
        let has = |phase| reports.iter().any(|report| report.phase == phase);
        failures = if has(ReportPhase::Failed) { failures + 1 } else { 0 };
        let pause = match (has(ReportPhase::Pending), failures) {
            (true, _) => SOON,
            (false, 0) => LATER,
            (false, failures) => (SOON * 2u32.saturating_pow(failures)).min(AT_LAST),
        };
        let nothing_more = objects.is_empty() && failures == 0;
        let now = Report { revision, objects: reports };
        if said.as_ref() != Some(&now) {
            let copy = Report { revision, objects: now.objects.clone() };
            if report.send(copy).await.is_err() {
                return;
            }
            said = Some(now);
        }
        let next = wanted.changed();
        // Nothing is wanted and nothing is left: only another word wakes an idle daemon.
        let over = if nothing_more { Ok(next.await) } else { timeout(pause, next).await };
        if let Ok(Err(_)) = over {
            return;
        }
        if let Ok(Ok(())) = over {
            failures = 0;
        }
    }
}

/// What is said of each when nothing can be done.
pub fn all_failed(objects: &[Assigned], why: &str) -> Vec<ObjectReport> {
    let failed = |object: &Assigned| ObjectReport::new(object.key.clone(), ReportPhase::Failed, why);
    objects.iter().map(failed).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Mutex;

    use aegis_core::ObjectKey;
    use tokio::time::Instant;

    use super::*;

    /// Answers with one phase after the other; the last stays.
    struct Fake {
        phases: Mutex<Vec<ReportPhase>>,
        calls: Mutex<Vec<(Duration, usize)>>,
        begun: Instant,
    }

    impl Fake {
        fn new(phases: &[ReportPhase]) -> Arc<Self> {
            let phases = Mutex::new(phases.iter().rev().copied().collect());
            Arc::new(Self { phases, calls: Mutex::default(), begun: Instant::now() })
        }
        fn calls(&self) -> Vec<(u64, usize)> {
            self.calls.lock().unwrap().iter().map(|(at, count)| (at.as_secs(), *count)).collect()
        }
    }

    impl LocalRuntime for Fake {
        fn converge<'a>(&'a self, objects: &'a [Assigned]) -> BoxFuture<'a, Vec<ObjectReport>> {
            self.calls.lock().unwrap().push((self.begun.elapsed(), objects.len()));
            let mut phases = self.phases.lock().unwrap();
            let phase = if phases.len() > 1 { phases.pop().unwrap() } else { phases[0] };
            let reports = objects.iter().map(|one| ObjectReport::new(one.key.clone(), phase, "")).collect();
            Box::pin(async move { reports })
        }
    }

    fn app(name: &str) -> Assigned {
        Assigned { key: ObjectKey::new("App", name), spec: "{}".into(), value: None }
    }

    fn phases(report: &Report) -> Vec<ReportPhase> {
        report.objects.iter().map(|object| object.phase).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_looked_at_until_it_is_so_and_then_now_and_again_and_said_once() {
        let fake = Fake::new(&[ReportPhase::Pending, ReportPhase::Pending, ReportPhase::Ready]);
        let mut assignment = Assignment::new(Some(fake.clone()), true);
        assignment.replace(7, vec![app("web")]);
        let first = assignment.next().await;
        assert_eq!((first.revision, phases(&first)), (7, vec![ReportPhase::Pending]));
        assert_eq!(phases(&assignment.next().await), [ReportPhase::Ready]);
        assert!(timeout(Duration::from_secs(65), assignment.next()).await.is_err(), "nothing changed");
        assert_eq!(fake.calls(), [(0, 1), (1, 1), (2, 1), (32, 1), (62, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_tried_again_less_and_less_often() {
        let fake = Fake::new(&[ReportPhase::Failed]);
        let mut assignment = Assignment::new(Some(fake.clone()), true);
        assignment.replace(1, vec![app("web")]);
        assert_eq!(phases(&assignment.next().await), [ReportPhase::Failed]);
        assert!(timeout(Duration::from_secs(190), assignment.next()).await.is_err());
        let times: Vec<u64> = fake.calls().iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [0, 2, 6, 14, 30, 62, 122, 182]);
    }

    #[tokio::test(start_paused = true)]
    async fn another_word_is_heeded_at_once_and_answered_although_nothing_changed() {
        let fake = Fake::new(&[ReportPhase::Ready]);
        let mut assignment = Assignment::new(Some(fake.clone()), true);
        assignment.replace(1, vec![app("web")]);
        assert_eq!(assignment.next().await.revision, 1);
        assignment.replace(2, vec![app("web")]);
        assert_eq!(assignment.next().await.revision, 2);
        assignment.replace(3, vec![]);
        assert_eq!(assignment.next().await, Report { revision: 3, objects: vec![] });
        assert!(timeout(Duration::from_hours(1), assignment.next()).await.is_err());
        assert_eq!(fake.calls(), [(0, 1), (0, 1), (0, 0)], "an idle daemon isn't woken");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_runtime_it_says_so() {
        let mut assignment = Assignment::new(None, true);
        assignment.replace(1, vec![app("web")]);
        let report = assignment.next().await;
        assert_eq!(report.objects[0].phase, ReportPhase::Failed);
        assert!(report.objects[0].message.contains("without a runtime"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_hosts_owner_does_not_take_is_not_there() {
        let fake = Fake::new(&[ReportPhase::Ready]);
        let mut assignment = Assignment::new(Some(fake.clone()), false);
        assignment.replace(1, vec![app("web")]);
        let report = assignment.next().await;
        assert_eq!(phases(&report), [ReportPhase::Failed]);
        assert!(report.objects[0].message.contains("takes no apps"));
        assignment.take(true);
        assert_eq!(phases(&assignment.next().await), [ReportPhase::Ready]);
        assignment.take(false);
        assert_eq!(phases(&assignment.next().await), [ReportPhase::Failed]);
        let counts: Vec<usize> = fake.calls().iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [0, 1, 0], "what was there goes");
    }
}
