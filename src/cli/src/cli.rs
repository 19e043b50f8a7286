//! The commands, as a tree.

use clap::{Parser, Subcommand};

use aegis_core::ExitCode;

use crate::{command, context::ContextArgs, exit::Exit, failure::Failure};

/// Declared state for machines: images in microVMs on this one, groups, tags and policies of a fleet, reconciled.
///
/// `aegis run` runs a command of an image in a microVM of its own, `aegis app` serves apps on this machine; the daemon
/// aegisd does it. What a fleet should be stands in YAML manifests. `aegis diff` shows what would change, `aegis apply`
/// changes it, and every imperative command is a one-off reconciliation through the same engine.
#[derive(Debug, Parser)]
#[command(
    name = "aegis",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = AFTER_HELP, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    context: ContextArgs,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
First steps on this machine:
  aegis up; aegis run -- echo hello                             a command in a microVM
  aegis run --image alpine:3.21 -- cat /etc/os-release          in an image
  aegis run --expose 80 -- httpd -f -p 80 -h /etc               a server, at http://127.0.0.1:8099
  aegis doctor                                                  what is missing, and how to get it
First steps with a fleet:
  aegis controller run --data-dir D --listen 127.0.0.1:50056    a controller on this machine
  export AEGIS_CONTEXT=D/admin-context.yaml                     ask that controller
  aegis controller enrollment-token create --label web-1        a token for a host
  aegis edge enroll TOKEN && aegis edge run                     on the host
  aegis diff -f fleet.yaml; aegis apply -f fleet.yaml           declare what the fleet should be
  aegis edge fleet run --target all --tool host.facts           ask every host something

Exit codes: 0 success, 1 error, 2 invalid argument or manifest, 3 not authorized,
4 somebody must be asked, 5 target offline or not found, 6 fleet run halted, 7 cancelled,
8 deadline exceeded, 9 fewer targets than --require-min, 10 differences (diff --exit-code), 11 ownership conflict.";

#[derive(Debug, Subcommand)]
enum Command {
    Up(command::up::Args),
    Down(command::down::Args),
    Status(command::status::Args),
    Doctor(command::doctor::Args),
    Run(command::run::Args),
    Exec(command::exec::Args),
    Logs(command::logs::Args),
    App(command::app::Args),
    Instance(command::instance::Args),
    Task(command::task::Args),
    Image(command::image::Args),
    Secret(command::secret::Args),
    Kit(command::kit::Args),
    Apply(command::apply::Args),
    Diff(command::diff::Args),
    Validate(command::validate::Args),
    Get(command::get::Args),
    Describe(command::describe::Args),
    Delete(command::delete::Args),
    Export(command::export::Args),
    Explain(command::explain::Args),
    Schema(command::schema::Args),
    History(command::history::Args),
    Rollback(command::rollback::Args),
    Rollout(command::rollout::Args),
    Edge(command::edge::Args),
    Controller(command::controller::Args),
    Completions(command::completions::Args),
}

impl Cli {
    /// Runs the command that was given.
    pub fn run(self) -> Result<u8, Failure> {
        let context = &self.context;
        let code = match self.command {
            Command::Run(args) => return passed_through(args.run()),
            Command::Exec(args) => return passed_through(args.run()),
            Command::Logs(args) => return passed_through(args.run()),
            Command::App(args) => return passed_through(args.run()),
            Command::Validate(args) => args.run(),
            Command::Explain(args) => args.run(),
            Command::Schema(args) => args.run(),
            Command::Completions(args) => args.run(),
            Command::Up(args) => on_one_thread(args.run()),
            Command::Down(args) => on_one_thread(args.run()),
            Command::Status(args) => on_one_thread(args.run()),
            Command::Doctor(args) => on_one_thread(args.run()),
            Command::Instance(args) => on_one_thread(args.run()),
            Command::Task(args) => on_one_thread(args.run()),
            Command::Image(args) => on_one_thread(args.run()),
            Command::Secret(args) => on_one_thread(args.run()),
            Command::Kit(args) => on_one_thread(args.run()),
            Command::Apply(args) => on_one_thread(args.run(context)),
            Command::Diff(args) => on_one_thread(args.run(context)),
            Command::Get(args) => on_one_thread(args.run(context)),
            Command::Describe(args) => on_one_thread(args.run(context)),
            Command::Delete(args) => on_one_thread(args.run(context)),
            Command::Export(args) => on_one_thread(args.run(context)),
            Command::History(args) => on_one_thread(args.run(context)),
            Command::Rollback(args) => on_one_thread(args.run(context)),
            Command::Rollout(args) => on_one_thread(args.run(context)),
            Command::Edge(args) => on_one_thread(args.run(context)),
            Command::Controller(args) => args.run(context),
        };
        code.map(ExitCode::code)
    }
}

/// A command that ends with the code of a process in a guest.
fn passed_through(command: impl Future<Output = Result<Exit, Failure>>) -> Result<u8, Failure> {
    on_one_thread(command).map(Exit::code)
}

/// One thread is all that a command, and an edge daemon, needs: it starts at once and stays small.
pub(crate) fn on_one_thread<T, F>(command: F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::generic(format!("no runtime: {error}")))?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn command_lines_of_the_reference_are_understood() {
        for line in [
            "aegis edge fleet run --target all --tool host.facts",
            "aegis edge fleet run --target tags=a --tool cmd.run --arg command=ls --arg args=-l --mode rolling=2",
            "aegis edge fleet run --target all --tool a.b --mode rolling=25% --on-error stop-after=3 --require-min 2",
            "aegis edge fleet run --target all --tool a.b --mode sequential --max-concurrency 5 --deadline 2m -o json",
            "aegis edge fleet run --target all --tool a.b --args-json {} --detach --idempotency-key k --quiet",
            "aegis edge fleet keys rotate --target tags=x --mode rolling=5 --on-error continue --keep-old 1h",
            "aegis edge fleet cancel r-0000",
            "aegis edge fleet runs --limit 3 --output yaml",
            "aegis edge fleet show r-0000 --output-of web-1",
            "aegis edge call --tool host.facts",
            "aegis edge tools ls --node web-1",
            "aegis rollout status reload --watch",
            "aegis rollout abort reload",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn command_lines_for_this_machine_are_understood() {
        for line in [
            "aegis up",
            "aegis down",
            "aegis status",
            "aegis doctor -o json",
            "aegis run -- echo hello",
            "aegis run --image alpine:3.21 -- echo -n --expose",
            "aegis run --expose 80 --expose 8443:443 -- nginx",
            "aegis run --env A=1 --env B --secret S --workspace w --memory 1G --cpus 2 --backend qemu --timeout 5m -- make",
            "aegis exec -it myapp -- sh -c ls",
            "aegis logs -f myapp --tail 3 --since 10m --source system",
            "aegis app create --name a --image b --expose 80 -- python -m http.server 80",
            "aegis app create --name a --kit famiglia",
            "aegis app logs myapp --follow",
            "aegis app rollback myapp rel-1",
            "aegis secret set myapp KEY -----BEGIN",
            "aegis secret set myapp KEY --stdin",
            "aegis instance list --all",
            "aegis instance stop inst-1",
            "aegis task ls",
            "aegis image prune",
            "aegis kit install famiglia.yaml",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
        }
        for line in [
            "aegis run",
            "aegis run echo",
            "aegis run --",
            "aegis run --expose http -- x",
            "aegis run --memory 512 -- x",
            "aegis run --cpus 0 -- x",
            "aegis run --backend docker -- x",
            "aegis run --timeout 0 -- x",
            "aegis run --timeout 5s --expose 80 -- x",
            "aegis exec myapp ls",
            "aegis app create --name a -- x",
            "aegis app create --image b -- x",
            "aegis app create --name a --image b",
            "aegis logs",
            "aegis logs myapp --tail -1",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_exit_2_and_never_taken_for_a_default() {
        for flags in [
            "--mode rolling",
            "--mode rolling=0",
            "--mode Parallel",
            "--on-error stop",
            "--on-error stop-after=0",
            "--max-concurrency 0",
            "--max-concurrency -1",
            "--require-min 0",
            "--deadline 0s",
            "--deadline -5s",
            "--deadline 25h",
            "--deadline 60",
            "--arg command",
            "--arg a=b --args-json {}",
            "--security-context Not/AName",
            "--output xml",
        ] {
            let error =
                parse(&format!("aegis edge fleet run --target all --tool cmd.run {flags}")).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{flags}");
            assert_ne!(error.kind(), clap::error::ErrorKind::UnknownArgument, "{flags}: {error}");
        }
        for line in
            ["aegis edge fleet run --tool a.b", "aegis edge fleet run --target all", "aegis edge call"]
        {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
