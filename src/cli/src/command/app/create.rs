//! `aegis app create`

use aegis_core::ExitCode;
use aegis_wire::runtime::{App, CreateApp, Expose};

use crate::{
    failure::Failure,
    local::{self, GuestArgs},
    output::OutputArgs,
};

/// Create an app: an image, a command and the ports to reach
///
/// Nothing runs yet: `aegis app publish` makes a release of it, `aegis app serve` runs the latest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aegis app create --name myapp --image python:3.12-alpine --expose 80 -- python -m http.server 80
  aegis app create --name bot --kit famiglia       image, command and required secrets come from the kit")]
pub struct Args {
    /// Its name: the router has it at http://NAME.localhost:8099
    #[arg(long)]
    name: String,
    /// The image to take the file system from: a reference, oci:DIR or docker-archive:FILE
    #[arg(long, required_unless_present = "kit", value_parser = local::image)]
    image: Option<String>,
    /// The kit to take image, defaults and required secrets from
    #[arg(long)]
    kit: Option<String>,
    /// A port of the guest to reach from here, GUEST or HOST:GUEST; may be repeated
    #[arg(long, value_name = "PORT", value_parser = local::expose)]
    expose: Vec<Expose>,
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// The command, behind --
    #[arg(last = true, required_unless_present = "kit")]
    command: Vec<String>,
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let create = CreateApp {
            name: self.name,
            image: self.image,
            kit: self.kit,
            command: self.command,
            expose: self.expose,
            options: self.guest.options(local::own_variable)?,
        };
        let app = local::client()?.create_app(&create).await?;
        self.output.show(&app, text)?;
        Ok(ExitCode::Success)
    }
}

fn text(app: &App) -> String {
    format!("App created: {} (id={})\n", app.name, app.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_that_of_the_reference() {
        assert_eq!(text(&local::sample::app("myapp")), "App created: myapp (id=app-173f)\n");
    }
}
