//! `aegis image`

use aegis_core::ExitCode;
use aegis_wire::runtime::{Image, Pruned};
use clap::Subcommand;
use jiff::Timestamp;

use crate::{
    failure::Failure,
    fleet::visible,
    local::{self, size, time},
    output::{self, OutputArgs, table},
};

/// Images: what was pulled and is kept on this machine
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the images
    #[command(visible_alias = "list")]
    Ls {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Remove an image that nothing needs
    Rm {
        /// The image, by reference or digest
        image: String,
    },
    /// Remove all images that no release and no instance needs
    Prune {
        #[command(flatten)]
        output: OutputArgs,
    },
}

impl Args {
    /// Runs it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let client = local::client()?;
        match self.verb {
            Verb::Ls { output } => output.show(client.images().await?.as_slice(), text)?,
            Verb::Rm { image } => {
                client.delete_image(&image).await?;
                output::print(&format!("Image {image} removed\n"))?;
            }
            Verb::Prune { output } => output.show(&client.prune_images().await?, removed)?,
        }
        Ok(ExitCode::Success)
    }
}

fn text(images: &[Image]) -> String {
    let row = |image: &Image| {
        [
            visible(&image.references.join(", ")).into_owned(),
            short(&image.digest).to_owned(),
            size(image.size),
            pulled(image),
            if image.in_use { "yes" } else { "no" }.to_owned(),
        ]
    };
    table(["REFERENCE", "DIGEST", "SIZE", "PULLED", "IN USE"], images.iter().map(row))
}

/// The base image was never pulled.
fn pulled(image: &Image) -> String {
    if image.pulled_at == Timestamp::UNIX_EPOCH { String::new() } else { time(image.pulled_at) }
}

/// So much of a digest as tells images apart; the whole is in the JSON.
fn short(digest: &str) -> &str {
    digest.char_indices().nth(19).map_or(digest, |(at, _)| &digest[..at])
}

fn removed(pruned: &Pruned) -> String {
    let mut text = String::new();
    for digest in &pruned.images {
        text += &format!("removed {digest}\n");
    }
    text + &format!("{} freed\n", size(pruned.freed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_a_table() {
        let image = Image {
            references: vec!["alpine:3.21".into()],
            digest: "sha256:0123456789abcdef".into(),
            size: 3 << 20,
            pulled_at: Timestamp::from_second(60).unwrap(),
            in_use: true,
        };
        assert_eq!(
            text(&[image]),
            "REFERENCE    DIGEST               SIZE     PULLED                IN USE\nalpine:3.21  sha256:0123456789ab  3.0 MiB  1970-01-01T00:01:00Z  yes\n"
        );
        let none = Pruned { images: vec!["sha256:0".into()], freed: 2048 };
        assert_eq!(removed(&none), "removed sha256:0\n2.0 KiB freed\n");
    }
}
