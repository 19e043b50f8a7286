//! What a host may be made to do: paths, programs, their environment, rates; and who narrows it.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink};

use aegis_tests::{Daemon, Output, SOON, World, eventually, fleet::results};

/// A context of this name with these capabilities, each in flow style.
fn context(name: &str, capabilities: &str) -> String {
    format!(
        "apiVersion: aegis.dev/v1\nkind: SecurityContext\nmetadata: {{name: {name}}}\nspec: \
         {{capabilities: [{capabilities}]}}\n"
    )
}

/// Enrols a host whose owner adds this to its config, and connects it.
#[track_caller]
fn host_with(world: &World, name: &str, config: &str) -> Daemon {
    world.enroll(name);
    add_to_config(world, name, config);
    world.connect(name)
}

/// Adds lines to what stands below `edge:`.
fn add_to_config(world: &World, name: &str, config: &str) {
    let path = world.config(name);
    let mut text = fs::read_to_string(&path).unwrap();
    for line in config.lines() {
        text.extend(["      ", line, "\n"]);
    }
    fs::write(&path, text).unwrap();
}

#[track_caller]
fn call(world: &World, flags: &str) -> Output {
    world.run(&format!("edge call --target @web-1 {flags}"))
}

#[test]
fn no_path_leads_out_of_what_is_granted() {
    let world = World::new();
    let _host = world.host("web-1");
    let root = world.path().display().to_string();
    world.write("allowed/file", "fine\n");
    world.write("outside/secret", "the secret\n");
    symlink(world.path().join("outside"), world.path().join("allowed/way")).unwrap();
    symlink(world.path().join("outside/secret"), world.path().join("allowed/link")).unwrap();
    symlink("file", world.path().join("allowed/inner")).unwrap();
    world.allow(&context("default", &format!("{{tools: ['fs.*'], paths: [{root}/allowed]}}")));

    let read = |path: &str| call(&world, &format!("--tool fs.read --arg path={path}"));
    assert_eq!(read(&format!("{root}/allowed/file")).ok().stdout, "fine\n");
    assert_eq!(read(&format!("{root}/allowed/inner")).ok().stdout, "fine\n");
    for path in ["allowed/../outside/secret", "allowed/way/secret", "allowed/link", "outside/secret"] {
        read(&format!("{root}/{path}")).exit(1).says_not("the secret").says(&format!("{root}/{path}"));
    }
    read(&format!("{root}/allowed/../../../../../../etc/shadow")).exit(1).says_not("root:").says("with '..'");
    read(&format!("{root}/allowed-not/file")).exit(1).says("isn't granted");
    // What no absolute path is, is refused before anything is sent.
    for path in ["allowed/file", "file", "../etc/shadow", ""] {
        read(path).exit(2);
    }
    call(&world, "--tool fs.read").exit(2).says("path");
    read(&format!("{root}/allowed/none")).exit(1).says("there is no");

    let change = |tool: &str| call(&world, &format!("--tool {tool}"));
    change(&format!("fs.write --arg path={root}/allowed/way/new --arg content=x")).exit(1);
    change(&format!("fs.write --arg path={root}/outside/new --arg content=x")).exit(1);
    change(&format!("fs.create_dir --arg path={root}/allowed/way/new")).exit(1);
    change(&format!("fs.delete --arg path={root}/allowed/way/secret")).exit(1);
    assert_eq!(fs::read_dir(world.path().join("outside")).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(world.path().join("outside/secret")).unwrap(), "the secret\n");
    change(&format!("fs.write --arg path={root}/allowed/new --arg content=x")).ok();
}

#[test]
fn the_daemons_own_files_are_nobodys_whatever_is_granted() {
    let world = World::new();
    let _host = world.host("web-1");
    world.allow(&context("default", "{tools: ['fs.*'], paths: [/]}"));
    let state = world.config("web-1").parent().unwrap().to_owned();
    // Beneath what is granted, so that it is the file itself that is refused, and not the way to it.
    symlink("hosts/web-1/node.token", world.path().join("link")).unwrap();
    let token = fs::read_to_string(state.join("node.token")).unwrap();
    for path in [state.join("node.token"), state.join("node.key"), world.path().join("link")] {
        let read = call(&world, &format!("--tool fs.read --arg path={}", path.display())).exit(1);
        read.says("the daemon's own").says_not(token.trim());
    }
    let config = state.join("aegis-config.yaml");
    let before = fs::read_to_string(&config).unwrap();
    call(&world, &format!("--tool fs.write --arg path={} --arg content=x", config.display())).exit(1);
    call(&world, &format!("--tool fs.delete --arg path={}", config.display())).exit(1);
    assert_eq!(fs::read_to_string(&config).unwrap(), before);
    // Beside them it goes on as it was granted.
    call(&world, &format!("--tool fs.write --arg path={}/mine --arg content=x", world.path().display())).ok();
}

#[test]
fn mount_points_and_local_tools_narrow_what_is_pushed() {
    let world = World::new();
    let root = world.path().display().to_string();
    world.write("srv/file", "fine\n");
    world.write("other/file", "not yours\n");
    let _host = host_with(&world, "web-1", &format!("mountPoints: [{root}/srv]\nlocalTools: [systemctl]"));
    world.allow_everything();
    call(&world, &format!("--tool fs.read --arg path={root}/srv/file")).ok().says("fine");
    let other = call(&world, &format!("--tool fs.read --arg path={root}/other/file")).exit(1);
    other.says_not("not yours").says(&format!("{root}/srv"));
    call(&world, "--tool cmd.run --arg command=true").ok();
    call(&world, "--tool shell --arg script=true").exit(1).says("shell");
    call(&world, "--tool cmd.run --arg cmd=true").exit(1).says("shell");

    // What the owner changes is in force as soon as the daemon has seen it.
    let config = world.config("web-1");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(&format!("[{root}/srv]"), &format!("[{root}/other]"))).unwrap();
    eventually("the new config is in force", SOON, || {
        (call(&world, &format!("--tool fs.read --arg path={root}/other/file")).code == 0).then_some(())
    });
    call(&world, &format!("--tool fs.read --arg path={root}/srv/file")).exit(1).says_not("fine");
}

#[test]
fn a_program_begins_only_where_the_context_grants_it() {
    let world = World::new();
    let _host = world.host("web-1");
    let root = world.path().display().to_string();
    world.write("allowed/here/file", "");
    world.write("outside/file", "");
    symlink(world.path().join("outside"), world.path().join("allowed/way")).unwrap();
    let commands = "commands: [pwd, /bin/echo]";
    world.allow(&context("default", &format!("{{tools: [cmd.run], {commands}, paths: [{root}/allowed]}}")));
    let pwd = |cwd: &str| call(&world, &format!("--tool cmd.run --arg command=pwd --arg cwd={cwd}"));
    assert_eq!(pwd(&format!("{root}/allowed/here")).ok().stdout, format!("{root}/allowed/here\n"));
    for cwd in ["outside", "allowed/way", "allowed/../outside", "allowed/none"] {
        let refused = pwd(&format!("{root}/{cwd}")).exit(1);
        assert_eq!(refused.stdout, "", "{refused:#?}");
    }
    pwd("here").exit(2);
    // A program is what was granted: by its name or by its path, and never a part of a line.
    call(&world, "--tool cmd.run --arg command=/bin/echo --arg args=hello").ok().says("hello");
    for command in ["echo", "/bin/pwd", "/bin/../bin/echo", "'pwd; id'", "'pwd id'", "id"] {
        let refused = call(&world, &format!("--tool cmd.run --arg command={command}")).exit(1);
        assert_eq!(refused.stdout, "", "{refused:#?}");
    }
    call(&world, "--tool cmd.run --arg cmd=pwd").exit(1).says("sh");
}

#[test]
fn nothing_of_the_daemons_environment_reaches_a_program() {
    let world = World::new();
    world.enroll("web-1");
    let program = world.program().env("AEGIS_USER_TOKEN", "hunter-2").env("API_KEY", "hunter-3");
    let program = program.env("LD_LIBRARY_PATH", "/nowhere").env("TZ", "Europe/Berlin");
    let mut host = Daemon::start(&program, &world.config("web-1"));
    host.wait_for("Connected");
    world.allow_everything();
    let env = call(&world, "--tool cmd.run --arg command=env --arg 'env={\"MINE\":\"yes\"}'").ok();
    let names: BTreeSet<&str> = env.stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let expected = ["CALL_ID", "HOME", "LANG", "LOGNAME", "MINE", "PATH", "TZ", "USER"];
    assert_eq!(names, BTreeSet::from(expected), "{env:#?}");
    env.says_not("hunter").says("TZ=Europe/Berlin").says("MINE=yes");
    for name in ["LD_PRELOAD", "PATH", "CALL_ID"] {
        call(&world, &format!("--tool cmd.run --arg command=env --arg 'env={{\"{name}\":\"x\"}}'"))
            .exit(1)
            .says(name);
    }
    // Nor an open file of the daemon's, nor its input.
    let open = call(&world, "--tool cmd.run --arg 'cmd=ls /proc/self/fd; cat'").ok();
    assert!(open.stdout.lines().all(|fd| ["0", "1", "2", "3"].contains(&fd)), "{open:#?}");
}

#[test]
fn a_rate_is_kept_on_each_host() {
    let world = World::new();
    let _hosts = world.hosts(["web-1", "web-2"]);
    world.allow(&context("default", "{tools: [cmd.run], commands: ['true'], rateLimit: 2/h}"));
    let run =
        |target: &str| world.run(&format!("edge call --target {target} --tool cmd.run --arg command=true"));
    run("@web-1").ok();
    run("@web-1").ok();
    run("@web-1").exit(1).says("2/h");
    run("@web-2").ok();
}

#[test]
fn a_context_of_another_tenant_is_none() {
    let world = World::new();
    let _own = world.host("web-1");
    world.allow_everything();
    world.allow(&context("on-call", "{tools: [cmd.run], commands: ['*']}"));
    world.run("edge call --tool cmd.run --arg command=true --security-context on-call").ok();

    world.run("controller tenant create t-other").ok();
    let stranger = world.user("t-other", "admin");
    let token = stranger.run("controller enrollment-token create --label web-1 -o json").ok().json();
    let (token, config) = (token["token"].as_str().unwrap(), world.path().join("theirs/aegis-config.yaml"));
    let line = format!("edge enroll {token} --config {} --force --no-service", config.display());
    world.program().run(&line).ok();
    let mut theirs = Daemon::start(&world.program(), &config);
    theirs.wait_for("Connected");

    let run = |flags: &str| stranger.run(&format!("edge call --tool cmd.run --arg command=true {flags}"));
    // Their `default` is the built-in one, whatever ours is.
    run("").exit(1).says("SecurityContext");
    let foreign = run("--security-context on-call").exit(2);
    let unknown = run("--security-context on-sale").exit(2);
    assert_eq!(foreign.stderr.replace("on-call", "NAME"), unknown.stderr.replace("on-sale", "NAME"));
}

/// A tool that writes what it was given.
const GREET: &str = "tools:\n  - name: app.greet\n    class: read-only\n    argv: [echo, 'hello {name}']\n    \
     parameters:\n      type: object\n      required: [name]\n      additionalProperties: false\n      \
     properties:\n        name: {type: string, maxLength: 9}";

#[test]
fn an_owners_tool_is_called_where_it_is_and_as_its_owner_says() {
    let world = World::new();
    let _first = host_with(&world, "web-1", GREET);
    let _second = world.host("web-2");
    let _third = host_with(&world, "web-3", &GREET.replace("maxLength: 9", "maxLength: 3"));
    world.allow(&context("default", "{tools: ['*'], commands: ['*']}"));
    let tools = world.run("edge tools ls --node web-1 -o json").ok().stdout;
    assert!(tools.contains("app.greet"), "{tools}");

    let greet = "--tool app.greet --arg 'name=$(id); x'";
    assert_eq!(call(&world, greet).ok().stdout, "hello $(id); x\n");
    let all = world.fleet_run(&format!("--target all {greet} -o json")).exit(1);
    let expected = [("web-1", "ok"), ("web-2", "error"), ("web-3", "error")];
    let expected = expected.map(|(name, outcome)| (name.to_owned(), outcome.to_owned()));
    assert_eq!(results(&all.stdout), expected);
    let of = |name: &str| {
        let mut events = aegis_tests::fleet::events(&all.stdout).into_iter();
        events.find(|event| event["event"] == "result" && event["name"] == name).unwrap()
    };
    assert_eq!(
        (of("web-2")["refusal"].as_str(), of("web-3")["refusal"].as_str()),
        (Some("tool"), Some("arguments"))
    );

    for arguments in ["--arg nmae=x", "--arg name=longer-than-that", "", "--arg name=x --arg more=y"] {
        call(&world, &format!("--tool app.greet {arguments}")).exit(2);
    }
    // A host where nobody has it.
    world.run("edge call --target @web-2 --tool app.greet --arg name=x").exit(2).says("app.greet");
}
