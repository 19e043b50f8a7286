//! A person at a terminal: asked before anything changes, and shown colours where that is wanted.

use aegis_tests::{Terminal, World};

use crate::declarative::group;

#[test]
fn apply_asks_and_does_as_it_is_told() {
    let world = World::new();
    world.write("fleet/a.yaml", &group("web", "tags=web"));
    let mut terminal = Terminal::start(world.admin().command("apply -f fleet"));
    terminal.read_until("EdgeGroup/web create");
    terminal.read_until("Apply this plan? [y/N]");
    terminal.type_line("n");
    terminal.wait().exit(7).says("nothing was changed");
    world.run("get EdgeGroup web").exit(5);

    let mut terminal = Terminal::start(world.admin().command("apply -f fleet"));
    terminal.read_until("[y/N]");
    terminal.type_line("y");
    terminal.wait().ok().says("created");
    world.run("get EdgeGroup web").ok();
    // Nothing to change: nothing to ask.
    Terminal::start(world.admin().command("apply -f fleet")).wait().ok().says("unchanged");
}

#[test]
fn colours_are_for_terminals_and_only_without_no_color() {
    let world = World::new();
    world.write("fleet/a.yaml", &group("web", "tags=web"));
    let on_terminal = |variable: &str, value: &str| {
        let program = world.admin().env("TERM", "xterm-256color").env(variable, value);
        Terminal::start(program.command("diff -f fleet")).wait().ok()
    };
    on_terminal("X", "").says("\u{1b}[32m");
    on_terminal("NO_COLOR", "1").says_not("\u{1b}");
    on_terminal("TERM", "dumb").says_not("\u{1b}");
    let program = world.admin().env("TERM", "xterm-256color").env("NO_COLOR", "1");
    for line in ["--help", "edge nonsense", "get EdgeGrup", "edge ls"] {
        Terminal::start(program.command(line)).wait().says_not("\u{1b}[");
    }
}

#[test]
fn what_has_no_way_back_is_asked_first() {
    let world = World::new();
    world.enroll("web-1");
    let mut terminal = Terminal::start(world.admin().command("edge keys revoke-remote web-1"));
    terminal.read_until("[y/N]");
    terminal.type_line("");
    terminal.wait().exit(7).says("not revoked");
    assert_eq!(world.node("web-1")["status"], "Disconnected");
    Terminal::start(world.admin().command("edge keys revoke-remote web-1 --yes")).wait().ok().says("revoked");
    assert_eq!(world.run("edge ls -o json").ok().array()[0]["status"], "Revoked");
}
