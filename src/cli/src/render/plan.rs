//! A plan in a terminal, and each object as it ends.

use aegis_core::{Outcome, outcome::Summary};
use aegis_engine::event::{ObjectEvent, Report};

use crate::terminal::Paint;

/// Whether objects that needn't change are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Only differences.
    Differences,
    /// Every object.
    All,
}

/// The whole plan: objects, their steps, what stands in the way, and the count.
pub fn plan_text(report: &Report, shown: Shown, paint: Paint) -> String {
    let mut text = String::new();
    for event in &report.objects {
        let differs =
            event.outcome != Outcome::Unchanged || !event.conflicts.is_empty() || !event.kept.is_empty();
        if differs || shown == Shown::All {
            text += &object(event, report.dry_run, paint);
        }
    }
    text + &warnings(report, paint) + &summary(report, paint)
}

/// One object with its steps.
pub fn object(event: &ObjectEvent, planned: bool, paint: Paint) -> String {
    let sign = match event.outcome {
        Outcome::Created => '+',
        Outcome::Updated => '~',
        Outcome::Deleted => '-',
        Outcome::Unchanged => ' ',
        Outcome::Skipped | Outcome::Failed => '!',
    };
    let word = if planned { verb(event.outcome) } else { event.outcome.as_str() };
    let head = format!("{sign} {} {word}", event.title());
    let mut text = match event.outcome {
        Outcome::Unchanged => paint.dim(&head),
        Outcome::Failed | Outcome::Skipped => paint.red(&head),
        _ => paint.sign(sign, &head),
    };
    if let Some(error) = &event.error {
        text += &format!(": {error}");
    }
    text.push('\n');
    if !matches!(event.outcome, Outcome::Failed | Outcome::Skipped) {
        for step in &event.steps {
            text += &format!("    {}\n", paint.sign(step.sign, &step.to_string()));
        }
    }
    for element in &event.kept {
        text += &format!(
            "    {}\n",
            paint.dim(&format!("  {element} is no longer declared; --prune removes it"))
        );
    }
    for revert in &event.reverted_by {
        let owners: Vec<&str> = revert.owners.iter().map(aegis_core::Owner::as_str).collect();
        let note = format!(
            "! {} is declared by {}, whose next apply reverts this",
            revert.element,
            owners.join(", ")
        );
        text += &format!("    {}\n", paint.yellow(&note));
    }
    text + &conflicts(event, paint)
}

/// What is going to happen, in a word: `create`.
pub fn verb(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Created => "create",
        Outcome::Updated => "update",
        Outcome::Deleted => "delete",
        Outcome::Unchanged | Outcome::Skipped | Outcome::Failed => outcome.as_str(),
    }
}

/// The fields that other owners hold.
fn conflicts(event: &ObjectEvent, paint: Paint) -> String {
    event.conflicts.iter().fold(String::new(), |text, conflict| {
        let owners: Vec<&str> = conflict.owners.iter().map(aegis_core::Owner::as_str).collect();
        let line = format!(
            "! conflict: {} is owned by {}; wanted: {}",
            conflict.element,
            owners.join(", "),
            conflict.wanted
        );
        text + &format!("    {}\n", paint.red(&line))
    })
}

/// What is no longer declared, and what went wrong beside the objects.
pub fn warnings(report: &Report, paint: Paint) -> String {
    let undeclared = report.undeclared.iter().fold(String::new(), |text, object| {
        let line = format!("  {} is no longer declared; --prune removes it", object.title());
        text + &paint.dim(&line) + "\n"
    });
    undeclared
        + &report
            .warnings
            .iter()
            .fold(String::new(), |text, warning| text + &format!("{} {warning}\n", paint.yellow("warning:")))
}

/// A summary of what isn't done yet: `2 to create, 1 unchanged`.
pub fn planned(summary: &Summary) -> String {
    let part = |outcome: &Outcome| {
        let count = summary.count(*outcome);
        let word = verb(*outcome);
        let to = if word == outcome.as_str() { "" } else { "to " };
        (count > 0).then(|| format!("{count} {to}{word}"))
    };
    let parts: Vec<String> = Outcome::ALL.iter().filter_map(part).collect();
    if parts.is_empty() { "nothing to do".into() } else { parts.join(", ") }
}

/// How many ended how, and where that is written down.
pub fn summary(report: &Report, paint: Paint) -> String {
    let revision = report.revision.map(|r| format!(", revision {r}")).unwrap_or_default();
    let adopted = report.objects.iter().filter(|object| object.adopted).count();
    let revision = if adopted > 0 {
        format!(" ({adopted} newly owned by {}){revision}", report.owner)
    } else {
        revision
    };
    let conflicts = report.objects.iter().map(|object| object.conflicts.len()).sum::<usize>();
    let revision = if conflicts > 0 { format!(", {conflicts} in conflict{revision}") } else { revision };
    let text = if report.dry_run {
        format!("{}{revision} (nothing was changed)", planned(&report.summary))
    } else {
        format!("{}{revision}", report.summary)
    };
    format!("{}\n", if report.summary.count(Outcome::Failed) > 0 { paint.red(&text) } else { text })
}
