//! `aegis kit info`

use aegis_core::ExitCode;
use aegis_wire::runtime::Kit;

use crate::{
    failure::Failure,
    fleet::visible,
    local::{self, time},
    output::{OutputArgs, fields, yaml},
};

/// Show an installed kit
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kit
    #[arg(value_name = "KIT_NAME")]
    kit: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let kit = local::client()?.kit(&self.kit).await?;
        self.output.show(&kit, text)?;
        Ok(ExitCode::Success)
    }
}

fn text(kit: &Kit) -> String {
    let mut lines = vec![("Name", kit.name.clone()), ("Version", kit.version.clone())];
    lines.extend(kit.description.iter().map(|text| ("Description", visible(text).into_owned())));
    lines.push(("Image", kit.image.clone()));
    lines.extend(kit.installed_at.map(|at| ("Installed", time(at))));
    let mut text = fields(lines);
    if let Some(config) = kit.config.as_ref().and_then(|config| yaml(config).ok()) {
        text += "Config:\n";
        text += &visible(&config).lines().fold(String::new(), |all, line| all + "  " + line + "\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_as_in_the_reference() {
        let kit = Kit {
            name: "famiglia".into(),
            version: "1.0.0".into(),
            image: "ghcr.io/aegis/famiglia:1.0.0".into(),
            description: Some("Famiglia agent kit".into()),
            config: None,
            installed_at: "2026-02-18T10:30:00Z".parse().ok(),
        };
        assert_eq!(
            text(&kit),
            "Name:        famiglia\nVersion:     1.0.0\nDescription: Famiglia agent kit\nImage:       ghcr.io/aegis/famiglia:1.0.0\nInstalled:   2026-02-18T10:30:00Z\n"
        );
    }
}
