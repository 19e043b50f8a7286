//! `aegis app publish`

use aegis_core::ExitCode;
use aegis_wire::runtime::{Publish, Release};

use crate::{failure::Failure, fleet::visible, local, output::OutputArgs};

/// Publish a new release of an app
///
/// Pulls the image, unless its layers are there, and keeps it with the app's command and ports as they are now.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis app publish myapp --label v1")]
pub struct Args {
    /// The app, by name or id
    #[arg(value_name = "APP_NAME")]
    app: String,
    /// A name for people, such as v1 or staging
    #[arg(long)]
    label: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let release = local::client()?.publish(&self.app, &Publish { label: self.label }).await?;
        self.output.show(&release, text)?;
        Ok(ExitCode::Success)
    }
}

fn text(release: &Release) -> String {
    let label = release.label.as_ref().map(|label| format!(" (label={})", visible(label)));
    format!("Published release {}{}\n", release.id, label.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn the_message_is_that_of_the_reference() {
        let mut release = Release {
            id: "rel-8a4b".into(),
            image_digest: "sha256:0".into(),
            label: Some("v1".into()),
            created_at: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(text(&release), "Published release rel-8a4b (label=v1)\n");
        release.label = None;
        assert_eq!(text(&release), "Published release rel-8a4b\n");
    }
}
