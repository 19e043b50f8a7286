//! `aegis instance info`

use aegis_core::ExitCode;
use aegis_wire::runtime::Instance;

use crate::{
    failure::Failure,
    fleet::visible,
    local::{self, command_line, ports, time},
    output::{OutputArgs, fields},
};

/// Show an instance: its state, and why it is stopped or didn't start
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The instance
    #[arg(value_name = "INSTANCE_ID")]
    instance: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let instance = local::client()?.instance(&self.instance).await?;
        self.output.show(&instance, text)?;
        Ok(ExitCode::Success)
    }
}

fn text(instance: &Instance) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut lines = vec![
        ("ID", instance.id.clone()),
        ("State", instance.state.as_str().to_owned()),
        ("App", or_none(&instance.app_id)),
        ("Release", or_none(&instance.release_id)),
        ("Command", command_line(&instance.command)),
        ("Ports", ports(instance.expose_ports.iter().copied())),
        ("Connections", instance.connections.to_string()),
        ("Created", time(instance.created_at)),
        ("Last Active", time(instance.last_active_at)),
        ("Backend", instance.backend.clone()),
    ];
    lines.extend(instance.image.iter().map(|image| ("Image", visible(image).into_owned())));
    let places = instance.endpoints.iter().map(|e| format!("{} -> {}", e.address, e.guest));
    let places: Vec<String> = places.collect();
    if !places.is_empty() {
        lines.push(("Endpoints", places.join(", ")));
    }
    lines.extend(instance.exit_code.map(|code| ("Exit code", code.to_string())));
    lines.extend(instance.error.iter().map(|error| ("Reason", visible(error).into_owned())));
    fields(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_as_in_the_reference() {
        let mut instance = local::sample::instance("inst-1739");
        let wanted = "\
ID:          inst-1739
State:       running
App:         app-173f
Release:     rel-8a4b
Command:     python -m http.server 80
Ports:       80
Connections: 0
Created:     2026-02-19T10:30:00Z
Last Active: 2026-02-19T10:35:00Z
Backend:     qemu
Endpoints:   127.0.0.1:40001 -> 80
";
        assert_eq!(text(&instance), wanted);
        instance.error = Some("the guest\x1b[2J didn't boot".into());
        instance.exit_code = Some(3);
        assert_eq!(
            text(&instance),
            format!("{wanted}Exit code:   3\nReason:      the guest^[[2J didn't boot\n")
        );
    }
}
