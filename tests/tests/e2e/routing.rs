//! One call on one host, and where it goes when nobody says.

use aegis_tests::World;

#[test]
fn a_call_goes_to_its_target_or_to_the_only_host_or_fails_at_once() {
    let world = World::new();
    world.run("edge call --tool host.facts").exit(5).says("EdgeUnavailable");
    let first = world.host("web-1");
    world.allow_everything();
    // The only one there is.
    let echo = "edge call --tool cmd.run --arg command=echo --arg args=hello";
    let one = world.run(echo).ok();
    assert_eq!((one.stdout.as_str(), one.stderr.as_str()), ("hello\n", ""));
    let second = world.host("web-2");
    world.run(echo).exit(5).says("2 hosts").says("--target");
    assert_eq!(world.run(&format!("{echo} --target @web-2")).ok().stdout, "hello\n");
    let both = world.run(&format!("{echo} --target all")).ok();
    assert!(both.stdout.contains("web-1") && both.stdout.contains("web-2"), "{both:#?}");
    drop((first, second));
}

#[test]
fn a_calls_result_is_the_programs() {
    let world = World::new();
    let _host = world.host("web-1");
    world.allow_everything();
    let call = |flags: &str| world.run(&format!("edge call --tool cmd.run {flags}"));
    let failed = call("--arg 'cmd=echo out; echo err >&2; exit 3'").exit(1);
    assert_eq!(failed.stdout, "out\n");
    assert!(failed.stderr.starts_with("err\n"), "{failed:#?}");
    let json = call("--arg 'cmd=exit 42' -o json").exit(1).json();
    assert_eq!((json["outcome"].as_str(), json["exit_code"].as_i64()), (Some("error"), Some(42)));
    call("--arg command=no-such-program-anywhere").exit(1).says("no-such-program-anywhere");
    call("--arg 'cmd=sleep 60' --deadline 200ms").exit(8);
    let words = call("--arg command=printf --arg 'args=[\"%s|\",\"a b\",\"$(id)\",\";true\"]'").ok();
    assert_eq!(words.stdout, "a b|$(id)|;true|");
}
