//! The plan as a table for people.

use super::Plan;

/// The plan as lines: one for each artifact, and a note under those that need one.
pub fn table(plan: &Plan) -> String {
    let rows = plan.decisions.iter().map(|decision| (decision.artifact.as_str(), decision.state.as_str()));
    let widths = rows.fold((8, 5), |(first, second), (artifact, state)| {
        (first.max(artifact.chars().count()), second.max(state.chars().count()))
    });
    let (first, second) = widths;
    let mut lines = vec![format!("{:first$}  {:second$}  ACTION", "ARTIFACT", "STATE")];
    for decision in &plan.decisions {
        let (artifact, action) = (decision.artifact.as_str(), decision.chosen.as_str());
        let reason = decision.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!("{artifact:first$}  {:second$}  {action}{reason}", decision.state));
        if let Some(warning) = &decision.warning {
            lines.push(format!("{:first$}  warning: {warning}", ""));
        }
    }
    let contact = if plan.contacts_controller { "" } else { " (not contacted)" };
    lines.push(format!("controller: {}{contact}, tenant {}", plan.endpoint, plan.tenant));
    lines.join("\n") + "\n"
}
