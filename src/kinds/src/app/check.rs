//! What the types of an app and of a kit don't say.

use std::collections::BTreeMap;

use aegis_core::{HumanDuration, Refusal, id::ObjectName};

use super::{AppSpec, Resources, expose};
use crate::{ByteSize, Secret, SecretScope, variable};

/// The backends that there are.
const BACKENDS: [&str; 3] = ["qemu", "libkrun", "namespaces"];
/// No guest boots with less.
const LEAST_MEMORY: ByteSize = ByteSize(16 << 20);

pub(super) fn check(name: &str, spec: &AppSpec) -> Result<(), Refusal> {
    // Its name is a label of `NAME.localhost`.
    let is_label = (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !is_label {
        return Err(Refusal::new(format!("'{name}' is not a valid name of an app")).help(
            "it is a part of a host name: 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends",
        ));
    }
    if spec.image.is_none() && spec.kit.is_none() {
        return Err(Refusal::at("image", "an app needs an image, or a kit that has one")
            .help("write `image: python:3.12-alpine` or `kit: NAME`"));
    }
    if let Some(reference) = &spec.image {
        image("image", reference)?;
    }
    if let Some(kit) = &spec.kit {
        ObjectName::new(kit.as_str()).map_err(|error| Refusal::at("kit", error.to_string()))?;
    }
    if spec.command.is_empty() && spec.kit.is_none() {
        return Err(Refusal::at("command", "an app needs a command, or a kit that has one")
            .help("ENTRYPOINT and CMD of an image are ignored: write the program and its arguments"));
    }
    command("command", &spec.command)?;
    expose::check("expose", &spec.expose)?;
    resources("resources", spec.resources.as_ref())?;
    env("env", &spec.env)?;
    for secret in &spec.secrets {
        // Of the workspace: an app gets its own without naming them.
        let scope = SecretScope::Workspace;
        Secret::check_name(secret, &scope)
            .map_err(|refusal| Refusal { field: Some(format!("secrets[{secret}]")), ..refusal })?;
    }
    if let Some(idle) = &spec.idle {
        above_zero("idle.pauseAfter", idle.pause_after)?;
        above_zero("idle.stopAfter", idle.stop_after)?;
    }
    above_zero("readiness.timeout", spec.readiness.as_ref().and_then(|readiness| readiness.timeout))?;
    if let Some(workspace) = &spec.workspace {
        ObjectName::new(workspace.as_str()).map_err(|error| Refusal::at("workspace", error.to_string()))?;
    }
    match &spec.backend {
        Some(backend) if !BACKENDS.contains(&backend.as_str()) => {
            Err(Refusal::at("backend", format!("there is no backend '{backend}'"))
                .help(format!("there are {}", BACKENDS.join(", "))))
        }
        _ => Ok(()),
    }
}

pub(crate) fn image(field: &str, reference: &str) -> Result<(), Refusal> {
    if reference.is_empty() || reference.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Refusal::at(field, "the image's reference is empty or has spaces in it")
            .help("write one such as python:3.12-alpine or oci:DIRECTORY"));
    }
    Ok(())
}

pub(crate) fn command(field: &str, command: &[String]) -> Result<(), Refusal> {
    if command.first().is_some_and(String::is_empty) {
        return Err(Refusal::at(format!("{field}[0]"), "the program's name is empty"));
    }
    match command.iter().position(|argument| argument.contains('\0')) {
        Some(index) => Err(Refusal::at(format!("{field}[{index}]"), "an argument has a NUL character in it")),
        None => Ok(()),
    }
}

pub(crate) fn env(field: &str, env: &BTreeMap<String, String>) -> Result<(), Refusal> {
    for (name, value) in env {
        variable::check(format!("{field}[{name}]"), name)?;
        if value.contains('\0') {
            return Err(Refusal::at(format!("{field}[{name}]"), "the value has a NUL character in it"));
        }
    }
    Ok(())
}

pub(crate) fn resources(field: &str, resources: Option<&Resources>) -> Result<(), Refusal> {
    let Some(resources) = resources else { return Ok(()) };
    if resources.memory.is_some_and(|memory| memory < LEAST_MEMORY) {
        return Err(Refusal::at(
            format!("{field}.memory"),
            format!("less than {LEAST_MEMORY} boots no guest"),
        ));
    }
    for (name, given) in [("cpus", resources.cpus), ("pids", resources.pids)] {
        if given == Some(0) {
            return Err(Refusal::at(format!("{field}.{name}"), format!("{name} is 0"))
                .help("leave it out, or write a number above 0"));
        }
    }
    Ok(())
}

fn above_zero(field: &str, given: Option<HumanDuration>) -> Result<(), Refusal> {
    if given.is_some_and(|given| given.0.is_zero()) {
        return Err(Refusal::at(field, "it is 0").help("leave it out, or write a time such as 30s"));
    }
    Ok(())
}
