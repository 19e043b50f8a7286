//! A plan as a comment under a pull request.

use std::fmt::Write as _;

use aegis_core::Outcome;
use aegis_engine::event::Report;

/// Hosts of such comments cut them near 64 KiB; the count says what is left out.
const MOST_OBJECTS: usize = 200;

/// The plan as markdown: a heading with the count, then the differences as a diff.
pub fn markdown(report: &Report) -> String {
    let mut text = format!("### aegis diff: {}\n\n", super::planned(&report.summary));
    let differs =
        |e: &&aegis_engine::event::ObjectEvent| e.outcome != Outcome::Unchanged || !e.conflicts.is_empty();
    let changed: Vec<_> = report.objects.iter().filter(differs).collect();
    if changed.is_empty() {
        text += "No differences.\n";
        return text;
    }
    text += "```diff\n";
    for event in changed.iter().take(MOST_OBJECTS) {
        // Writing to a string can't fail.
        let _ = writeln!(text, "@@ {} {} @@", event.title(), super::verb(event.outcome));
        for step in &event.steps {
            let sign = if step.sign == '~' { '!' } else { step.sign };
            let _ = writeln!(text, "{sign} {}", step.text.replace('\n', " ").replace("```", "'''"));
        }
    }
    text += "```\n";
    if changed.len() > MOST_OBJECTS {
        let _ = writeln!(text, "\n… and {} more objects.", changed.len() - MOST_OBJECTS);
    }
    let conflicts = changed.iter().flat_map(|event| event.conflicts.iter().map(move |c| (event.title(), c)));
    for (index, (title, conflict)) in conflicts.enumerate() {
        if index == 0 {
            text += "\n**Conflicts**\n\n";
        }
        let owners: Vec<&str> = conflict.owners.iter().map(aegis_core::Owner::as_str).collect();
        let _ = writeln!(text, "- {title} `{}` is owned by **{}**", conflict.element, owners.join(", "));
    }
    text
}
