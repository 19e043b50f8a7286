//! What `aegis edge enroll` writes where there is no config yet.

use super::EdgeConfig;

/// The template with every field explained.
const ANNOTATED: &str = "\
# The edge daemon of this host. 'aegis edge enroll' filled in the first three fields.
# A change of labels, or of what tools may do, is in force at once; of anything else, after a restart of the daemon.
apiVersion: aegis.dev/v1
kind: NodeConfig
spec:
  cluster:
    edge:
      # The controller or relay that the daemon dials.
      endpoint: @endpoint@
      # SHA-256 of the certificate authority that the controller's certificate must come from.
      caFingerprint: @ca@
      # The tenant that this host belongs to. It never changes: to move the host, revoke it and enrol it anew.
      tenant: @tenant@

      # The host name to report. Without it: the system's.
      # name: web-1

      # What the host says of itself, for selectors such as labels=region=home.
      # labels:
      #   region: home

      # The tools to report. Without it: those that are found on the PATH.
      # localTools: [shell, docker]

      # What this host's owner allows at most; what the controller pushes can only be narrowed.
      # localPolicy:
      #   capabilities:
      #     - tools: [fs.read, fs.list]
      #       paths: [/srv]
      #   deny: [shell]

      # Where tools may touch files at most, whatever a security context grants.
      # mountPoints: [/srv]

      # How many tools may run at once.
      # maxConcurrentTools: 16

      # Take no apps, kits and secrets from the controller; those that came before go.
      # apps: false

      # Tools of this host's own. {argument} is replaced inside of its entry, in one piece; no shell sees it.
      # tools:
      #   - name: backup.start
      #     summary: begins a backup of a directory
      #     class: state-mutating
      #     argv: [/usr/local/bin/backup, '--level={level}', --, '{directory}']
      #     parameters:
      #       type: object
      #       required: [directory]
      #       properties:
      #         directory: {type: string, format: path}
      #         level: {type: integer, minimum: 0, maximum: 9}
      #     timeout: 30m

      # What the daemon writes to standard error: error, warn, info, debug or trace; text or json.
      # log:
      #   level: info
      #   format: text
";

/// The short template, in the bare form.
const MINIMAL: &str = "\
cluster:
  edge:
    endpoint: @endpoint@
    caFingerprint: @ca@
    tenant: @tenant@
";

/// The annotated template for the endpoint, CA and tenant of `config`.
pub fn annotated(config: &EdgeConfig) -> String {
    fill(ANNOTATED, config)
}

/// The short template for the endpoint, CA and tenant of `config`.
pub fn minimal(config: &EdgeConfig) -> String {
    fill(MINIMAL, config)
}

fn fill(template: &str, config: &EdgeConfig) -> String {
    let text =
        |value: Option<String>| value.as_deref().map_or_else(|| "null".to_owned(), super::rewrite::quoted);
    template
        .replace("@endpoint@", &text(config.endpoint.as_ref().map(ToString::to_string)))
        .replace("@ca@", &text(config.ca_fingerprint.as_ref().map(ToString::to_string)))
        .replace("@tenant@", &text(config.tenant.as_ref().map(ToString::to_string)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn config() -> EdgeConfig {
        let fingerprint = "12".repeat(32);
        parse(
            &format!("cluster: {{edge: {{endpoint: '[::1]:50056', caFingerprint: '{fingerprint}', tenant: '1e3'}}}}"),
            "x",
        )
        .unwrap()
    }

    #[test]
    fn both_templates_say_what_they_were_given() {
        assert_eq!(parse(&annotated(&config()), "x").unwrap(), config());
        assert_eq!(parse(&minimal(&config()), "x").unwrap(), config());
    }

    #[test]
    fn every_commented_field_of_the_template_is_valid_when_uncommented() {
        let all = annotated(&config())
            .lines()
            .map(|line| match line.split_once("# ") {
                // A commented field begins in lower case and holds a colon or is a list entry; prose doesn't.
                Some((indent, rest)) if rest.starts_with("  ") || is_field(rest) => {
                    format!("{indent}{rest}")
                }
                _ => line.to_owned(),
            })
            .collect::<Vec<_>>()
            .join("\n");
        let config = parse(&all, "x").unwrap();
        assert!(config.name.is_some() && config.local_policy.is_some() && config.log.is_some(), "{all}");
        assert_eq!(config.labels["region"], "home");
        assert!(config.local_tools.is_some() && config.mount_points.is_some());
        assert_eq!((config.concurrent_tools(), config.tools[0].name.as_str()), (16, "backup.start"));
    }

    fn is_field(text: &str) -> bool {
        let word = text.split(':').next().unwrap_or_default();
        text.contains(':') && word.starts_with(char::is_lowercase) && !word.contains(' ')
    }
}
