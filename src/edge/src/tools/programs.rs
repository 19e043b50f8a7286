//! Built-in tools that are programs: `cmd.run`, `shell`, and the wrappers of services, docker and kubectl. Arguments are
//! arguments: none of them meets a shell unless the call asks for one.

use std::{collections::BTreeMap, path::PathBuf};

use aegis_kinds::{
    policy::Grant,
    tool::arguments::{
        DockerContainer, DockerExec, DockerInspect, DockerLogs, DockerPs, DockerPull, DockerRun,
        KubectlApply, KubectlDelete, KubectlGet, KubectlLogs, KubectlObject, KubectlOutput, KubectlRollout,
        Nothing, RolloutAction, Run, Service, Shell,
    },
};

use super::{
    arguments,
    call::{Call, Launch, Refused},
    place,
    process::{Directory, Environment, Program, check_variables},
};

const SH: &str = "sh";

/// `cmd.run` and `shell`.
pub(super) fn run(
    call: &Call,
    grant: &Grant,
    environment: &Environment,
    has_shell: bool,
) -> Result<Launch, Refused> {
    let run = if call.tool == "shell" {
        let Shell { script, cwd, env, stdin } = arguments(&call.arguments)?;
        Run { command: None, args: Vec::new(), cmd: Some(script), cwd, env, stdin }
    } else {
        arguments::<Run>(&call.arguments)?
    };
    let argv = match (run.command, run.cmd) {
        (Some(command), None) => std::iter::once(command).chain(run.args).collect(),
        (None, Some(_)) if !has_shell => {
            let message =
                "this host offers no shell; name a command and its args, or add shell to localTools";
            return Err(Refused::new("tool", message));
        }
        (None, Some(line)) => vec![SH.to_owned(), "-c".to_owned(), line],
        _ => return Err(Refused::new("arguments", "give either 'command' or 'cmd'")),
    };
    check_program(&argv)?;
    let program = argv.first().map(String::as_str).unwrap_or_default();
    if !grant.allows_command(program) {
        return Err(Refused::new(
            "command",
            format!(
                "the command '{program}' isn't granted to {}; take one that is, or grant it in the security context, and \
                 in this host's localPolicy where it has one",
                call.tool
            ),
        ));
    }
    check_variables(&run.env).map_err(|message| Refused::new("arguments", message))?;
    let directory = run.cwd.as_deref().map(|cwd| place(grant, &call.tool, cwd)).transpose()?;
    let mut launch = launch(call, environment, argv, run.stdin, &run.env);
    launch.directory = directory;
    Ok(launch)
}

fn check_program(argv: &[String]) -> Result<(), Refused> {
    if argv.iter().any(|argument| argument.contains('\0')) {
        return Err(Refused::new(
            "arguments",
            "an argument of a program can't hold NUL; send it through 'stdin'",
        ));
    }
    Ok(())
}

fn launch(
    call: &Call,
    environment: &Environment,
    argv: Vec<String>,
    stdin: Option<String>,
    env: &BTreeMap<String, String>,
) -> Launch {
    let program = Program {
        argv,
        directory: Directory::Home(PathBuf::from(environment.home())),
        environment: environment.with(env),
        stdin: stdin.map(String::into_bytes),
        call: call.id.to_string(),
    };
    Launch { program, directory: None, paths: Vec::new() }
}

/// `service.*`, through systemctl where that is there, else through service.
pub(super) fn service(call: &Call, environment: &Environment, systemd: bool) -> Result<Launch, Refused> {
    let Service { name, user } = arguments(&call.arguments)?;
    let verb = verb(call);
    if !systemd {
        if user {
            let message =
                "a user's own services need systemd, which this host doesn't have; leave out 'user'";
            return Err(Refused::new("arguments", message));
        }
        // The suffix is systemd's way to say it.
        let name = name.strip_suffix(".service").unwrap_or(&name);
        let argv = ["service", name, verb].map(str::to_owned).to_vec();
        return Ok(launch(call, environment, argv, None, &BTreeMap::new()));
    }
    let mut argv = Argv::new(&["systemctl", "--no-pager", "--no-ask-password"]);
    let mut env = BTreeMap::new();
    if user {
        argv.push("--user");
        // Where the user's own manager listens; systemctl doesn't know it without.
        let directory = format!("/run/user/{}", rustix::process::getuid().as_raw());
        env.insert("XDG_RUNTIME_DIR".to_owned(), directory);
    }
    argv.push(verb).push("--").push(&name);
    Ok(launch(call, environment, argv.0, None, &env))
}

/// What stands behind the family: `start` of `service.start`.
fn verb(call: &Call) -> &str {
    call.tool.split_once('.').map_or("", |(_, verb)| verb)
}

/// `docker.*`.
pub(super) fn docker(call: &Call, environment: &Environment) -> Result<Launch, Refused> {
    let verb = verb(call);
    let mut argv = Argv::new(&["docker", verb]);
    let given = &call.arguments;
    match verb {
        "ps" => {
            argv.flag("--all", arguments::<DockerPs>(given)?.all);
        }
        "images" => {
            arguments::<Nothing>(given)?;
        }
        "logs" => {
            let DockerLogs { container, tail } = arguments(given)?;
            argv.option("--tail", tail).push("--").push(&container);
        }
        "inspect" => {
            argv.push("--").push(&arguments::<DockerInspect>(given)?.name);
        }
        "exec" => {
            let DockerExec { container, command } = arguments(given)?;
            argv.push("--").push(&container).all(&command);
        }
        "pull" => {
            argv.push("--").push(&arguments::<DockerPull>(given)?.image);
        }
        "run" => {
            let DockerRun { image, command, name, env, detach } = arguments(given)?;
            argv.push(if detach { "--detach" } else { "--rm" }).option("--name", name);
            for (name, value) in env {
                argv.push("--env").push(&format!("{name}={value}"));
            }
            argv.push("--").push(&image).all(&command);
        }
        _ => {
            argv.push("--").push(&arguments::<DockerContainer>(given)?.container);
        }
    }
    check_program(&argv.0)?;
    Ok(launch(call, environment, argv.0, None, &BTreeMap::new()))
}

/// `kubectl.*`.
pub(super) fn kubectl(call: &Call, environment: &Environment) -> Result<Launch, Refused> {
    let verb = verb(call);
    let mut argv = Argv::new(&["kubectl", verb]);
    let mut stdin = None;
    let given = &call.arguments;
    match verb {
        "get" => {
            let KubectlGet { resource, name, namespace, all_namespaces, output } = arguments(given)?;
            argv.option("--namespace", namespace).flag("--all-namespaces", all_namespaces);
            argv.option("--output", output.map(word)).push("--").push(&resource).all(name.as_slice());
        }
        "describe" => {
            let KubectlObject { resource, name, namespace } = arguments(given)?;
            argv.option("--namespace", namespace).push("--").push(&resource).all(name.as_slice());
        }
        "logs" => {
            let KubectlLogs { pod, container, namespace, tail } = arguments(given)?;
            argv.option("--namespace", namespace).option("--container", container);
            argv.option("--tail", tail).push("--").push(&pod);
        }
        "apply" => {
            let KubectlApply { manifest, namespace } = arguments(given)?;
            argv.option("--namespace", namespace).push("--filename=-");
            stdin = Some(manifest);
        }
        "delete" => {
            let KubectlDelete { resource, name, namespace } = arguments(given)?;
            argv.option("--namespace", namespace).push("--").push(&resource).push(&name);
        }
        _ => {
            let KubectlRollout { action, resource, name, namespace } = arguments(given)?;
            argv.push(match action {
                RolloutAction::Status => "status",
                RolloutAction::Restart => "restart",
                RolloutAction::Undo => "undo",
            });
            argv.option("--namespace", namespace).push("--").push(&resource).push(&name);
        }
    }
    Ok(launch(call, environment, argv.0, stdin, &BTreeMap::new()))
}

const fn word(output: KubectlOutput) -> &'static str {
    match output {
        KubectlOutput::Name => "name",
        KubectlOutput::Wide => "wide",
        KubectlOutput::Json => "json",
        KubectlOutput::Yaml => "yaml",
    }
}

/// A program's arguments in the making.
struct Argv(Vec<String>);

impl Argv {
    fn new(begin: &[&str]) -> Self {
        Self(begin.iter().map(|argument| (*argument).to_owned()).collect())
    }
    fn push(&mut self, argument: &str) -> &mut Self {
        self.0.push(argument.to_owned());
        self
    }
    fn all(&mut self, arguments: &[String]) -> &mut Self {
        self.0.extend_from_slice(arguments);
        self
    }
    fn flag(&mut self, name: &str, set: bool) -> &mut Self {
        if set { self.push(name) } else { self }
    }
    /// In one piece, so that no value can be taken for an option.
    fn option(&mut self, name: &str, value: Option<impl std::fmt::Display>) -> &mut Self {
        match value {
            Some(value) => self.push(&format!("{name}={value}")),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aegis_core::fleet::CommandId;
    use serde_json::{Value, json};

    use super::*;

    fn argv(tool: &str, given: Value) -> String {
        let call = Call {
            id: CommandId::new("r-00000000000000000000.1").unwrap(),
            tool: tool.to_owned(),
            arguments: given,
            deadline: Duration::from_secs(1),
            window: 0,
        };
        let environment = Environment::of_this_user();
        let launch = match tool.split('.').next().unwrap() {
            "service" => service(&call, &environment, true),
            "docker" => docker(&call, &environment),
            _ => kubectl(&call, &environment),
        };
        launch.unwrap().program.argv.join(" ")
    }

    #[test]
    fn wrappers_pass_names_behind_the_options() {
        for (tool, given, line) in [
            (
                "service.status",
                json!({"name": "nginx"}),
                "systemctl --no-pager --no-ask-password status -- nginx",
            ),
            (
                "service.stop",
                json!({"name": "a@b", "user": true}),
                "systemctl --no-pager --no-ask-password --user stop -- a@b",
            ),
            ("docker.ps", json!({"all": true}), "docker ps --all"),
            ("docker.images", json!({}), "docker images"),
            ("docker.logs", json!({"container": "c", "tail": 5}), "docker logs --tail=5 -- c"),
            ("docker.inspect", json!({"name": "c"}), "docker inspect -- c"),
            ("docker.restart", json!({"container": "c"}), "docker restart -- c"),
            ("docker.exec", json!({"container": "c", "command": ["ls", "-l"]}), "docker exec -- c ls -l"),
            ("docker.pull", json!({"image": "nginx:1"}), "docker pull -- nginx:1"),
            (
                "docker.run",
                json!({"image": "i", "command": ["a", "b"], "name": "n", "env": {"K": "-v"}}),
                "docker run --rm --name=n --env K=-v -- i a b",
            ),
            ("docker.run", json!({"image": "i", "detach": true}), "docker run --detach -- i"),
            (
                "kubectl.get",
                json!({"resource": "pods", "all_namespaces": true, "output": "json"}),
                "kubectl get --all-namespaces --output=json -- pods",
            ),
            (
                "kubectl.describe",
                json!({"resource": "pod", "name": "p", "namespace": "n"}),
                "kubectl describe --namespace=n -- pod p",
            ),
            (
                "kubectl.logs",
                json!({"pod": "p", "container": "c", "tail": 1}),
                "kubectl logs --container=c --tail=1 -- p",
            ),
            ("kubectl.apply", json!({"manifest": "x"}), "kubectl apply --filename=-"),
            ("kubectl.delete", json!({"resource": "pod", "name": "p"}), "kubectl delete -- pod p"),
            (
                "kubectl.rollout",
                json!({"action": "undo", "resource": "deployment", "name": "d"}),
                "kubectl rollout undo -- deployment d",
            ),
        ] {
            assert_eq!(argv(tool, given), line);
        }
    }
}
