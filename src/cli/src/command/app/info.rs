//! `aegis app info`

use aegis_core::ExitCode;
use aegis_wire::runtime::{App, Release};
use serde::Serialize;

use crate::{
    failure::Failure,
    fleet::visible,
    local::{self, command_line, ports},
    output::{OutputArgs, fields},
};

/// Show an app and its releases
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The app, by name or id
    #[arg(value_name = "APP_NAME")]
    app: String,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    app: App,
    releases: Vec<Release>,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let client = local::client()?;
        let app = client.app(&self.app).await?;
        let releases = client.releases(&app.id).await?;
        self.output.show(&Shown { app, releases }, text)?;
        Ok(ExitCode::Success)
    }
}

fn text(shown: &Shown) -> String {
    let app = &shown.app;
    let mut lines = vec![
        ("Name", app.name.clone()),
        ("ID", app.id.clone()),
        ("Image", visible(&app.image).into_owned()),
        ("Command", command_line(&app.command)),
        ("Ports", ports(app.expose.iter().map(|expose| expose.guest))),
    ];
    lines.extend(app.kit.iter().map(|kit| ("Kit", visible(kit).into_owned())));
    if !app.condition.is_empty() {
        lines.push(("State", visible(&app.condition).into_owned()));
    }
    let mut text = fields(lines);
    text += &format!("\nReleases ({}):\n", shown.releases.len());
    for release in &shown.releases {
        let label = release.label.as_ref().map(|label| format!(" ({})", visible(label)));
        text += &format!("  {}{}\n", release.id, label.unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn it_looks_as_in_the_reference() {
        let release = |id: &str, label: Option<&str>| Release {
            id: id.into(),
            image_digest: "sha256:0".into(),
            label: label.map(str::to_owned),
            created_at: Timestamp::UNIX_EPOCH,
        };
        let releases = vec![release("rel-8a4b", Some("v1")), release("rel-c3d2", None)];
        let shown = Shown { app: local::sample::app("myapp"), releases };
        assert_eq!(
            text(&shown),
            "Name:    myapp\nID:      app-173f\nImage:   python:3.12-alpine\nCommand: python -m http.server 80\nPorts:   80\n\nReleases (2):\n  rel-8a4b (v1)\n  rel-c3d2\n"
        );
    }
}
