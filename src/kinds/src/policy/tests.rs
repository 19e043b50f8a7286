//! What a context allows, by example and by law.

use proptest::{collection, option, prelude::*, sample::select};

use super::*;
use crate::{ByteSize, SecurityContext, tool::find};
use aegis_core::Kind;

fn capability(tools: &[&str], paths: &[&str], commands: &[&str]) -> Capability {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    Capability {
        tools: owned(tools),
        paths: owned(paths),
        commands: owned(commands),
        domains: Vec::new(),
        rate_limit: None,
        max_output: None,
    }
}

fn context(capabilities: &[Capability], deny: &[&str]) -> SecurityContextSpec {
    let deny = UniqueSet(deny.iter().map(ToString::to_string).collect());
    SecurityContextSpec { capabilities: capabilities.to_vec(), deny }
}

fn pushed(tool: &str, spec: &SecurityContextSpec) -> Result<Vec<Grant>, Denied> {
    grants(tool, "deploy", spec, None, None)
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[test]
fn the_default_context_looks_and_touches_nothing() {
    let spec = default_context();
    SecurityContext::check(DEFAULT_CONTEXT, &spec).unwrap();
    let mut granted = spec.capabilities.iter().flat_map(|capability| &capability.tools);
    assert!(granted.all(|tool| find(tool).is_some_and(|tool| tool.class == ToolClass::ReadOnly)));
    for tool in BUILTINS.iter().filter(|tool| !tool.name.starts_with("edge.")) {
        let granted = pushed(tool.name, &spec);
        let shows_secrets = tool.name == "docker.inspect" || tool.name.starts_with("kubectl.");
        let looks = tool.class == ToolClass::ReadOnly && !shows_secrets;
        assert_eq!(granted.is_ok(), looks, "{}: {granted:?}", tool.name);
    }
    let read = pushed("fs.read", &spec).unwrap();
    assert_eq!(read[0].root_of("/var/log/app/x"), Some(("/var/log", "app/x")));
    for closed in
        ["/etc/shadow", "/root/.ssh/id_ed25519", "/home/a/.ssh/id_ed25519", "/var/lib/aegis/node.key", "/"]
    {
        assert_eq!(read[0].root_of(closed), None, "{closed}");
    }
}

#[test]
fn what_no_capability_names_is_refused() {
    let spec = context(&[capability(&["fs.*"], &["/srv"], &[])], &[]);
    pushed("fs.read", &spec).unwrap();
    for tool in ["fsx.read", "fs", "fs2.read", "shell", "backup.start"] {
        let denied = pushed(tool, &spec).unwrap_err();
        let side = Side::Context("deploy".into());
        assert_eq!(denied, Denied::Tool { tool: tool.into(), side });
        assert_eq!(
            denied.to_string(),
            format!(
                "the security context 'deploy' doesn't grant {tool}; grant it in SecurityContext/deploy, or take \
                 another context"
            )
        );
    }
    pushed("backup.start", &context(&[capability(&["*"], &[], &[])], &[])).unwrap();
    pushed("fs.read", &context(&[], &[])).unwrap_err();
}

#[test]
fn a_denial_beats_every_grant_on_either_side() {
    let all = context(&[capability(&["*"], &["/"], &["*"])], &[]);
    for (pattern, tool, refused) in [
        ("shell", "shell", true),
        ("fs.*", "fs.read", true),
        ("fs.*", "shell", false),
        ("*", "host.facts", true),
    ] {
        let narrow = context(&all.capabilities, &[pattern]);
        assert_eq!(pushed(tool, &narrow).is_err(), refused);
        let locally = grants(tool, "deploy", &all, Some(&narrow), None);
        assert_eq!(locally.is_err(), refused);
        if let Err(denied) = locally {
            assert_eq!(denied.side(), &Side::LocalPolicy);
            assert!(denied.to_string().starts_with("the host's localPolicy denies "), "{denied}");
        }
    }
}

#[test]
fn a_pushed_context_widens_nothing_that_the_owner_narrowed() {
    let all = context(&[capability(&["*"], &["/"], &["*"])], &[]);
    let own = context(&[capability(&["fs.read"], &["/srv/app"], &[])], &[]);
    let granted = grants("fs.read", "deploy", &all, Some(&own), None).unwrap();
    assert_eq!(granted.len(), 1);
    assert_eq!(granted[0].roots, ["/srv/app"]);
    let denied = grants("fs.write", "deploy", &all, Some(&own), None).unwrap_err();
    assert_eq!(denied, Denied::Tool { tool: "fs.write".into(), side: Side::LocalPolicy });
    // The owner who allows nothing refuses all; the owner who says nothing narrows nothing.
    grants("fs.read", "deploy", &all, Some(&context(&[], &[])), None).unwrap_err();
    grants("fs.read", "deploy", &all, None, None).unwrap();
}

#[test]
fn the_daemons_own_tools_need_no_grant_but_can_be_denied_on_the_host() {
    let nothing = context(&[], &["*"]);
    let granted = pushed("edge.keys.rotate", &nothing).unwrap();
    assert!(granted[0].roots.is_empty() && granted[0].commands.is_empty());
    assert!(!granted[0].allows_command("sh"));
    grants("edge.keys.rotate", "deploy", &nothing, Some(&context(&[], &[])), None).unwrap();
    let own = context(&[], &["edge.*"]);
    grants("edge.keys.rotate", "deploy", &nothing, Some(&own), None).unwrap_err();
    pushed("edgex.keys", &nothing).unwrap_err();
}

#[test]
fn a_tool_that_could_do_nothing_is_refused_with_the_way_out() {
    let spec = |paths, commands| context(&[capability(&["*"], paths, commands)], &[]);
    let (nothing, srv, etc) = (spec(&[], &[]), spec(&["/srv"], &[]), spec(&["/etc"], &[]));
    let message = |tool, pushed, local, mounts: Option<&[&str]>| {
        let mounts = mounts.map(strings);
        grants(tool, "deploy", pushed, local, mounts.as_deref()).unwrap_err().to_string()
    };
    for (given, start) in [
        (
            message("fs.read", &nothing, None, None),
            "the security context 'deploy' grants fs.read no path; grant a",
        ),
        (
            message("fs.read", &srv, Some(&nothing), None),
            "the host's localPolicy grants fs.read no path; ask",
        ),
        (
            message("fs.read", &srv, Some(&etc), None),
            "the security context 'deploy' together with the host's own",
        ),
        (message("fs.read", &srv, None, Some(&[])), "the host's mountPoints grants fs.read no path; ask the"),
        (message("fs.read", &srv, None, Some(&["/etc"])), "the security context 'deploy' together with"),
        (
            message("shell", &spec(&[], &["bash"]), None, None),
            "the security context 'deploy' grants shell no command",
        ),
        (
            message("shell", &spec(&[], &["/bin/sh"]), None, None),
            "the security context 'deploy' grants shell no",
        ),
        (message("cmd.run", &srv, None, None), "the security context 'deploy' grants cmd.run no command"),
        (
            message("cmd.run", &spec(&[], &["ls"]), Some(&spec(&[], &["cat"])), None),
            "the security context 'deploy' to",
        ),
    ] {
        assert!(given.starts_with(start), "{given}");
    }
    // Wrappers need the tool alone.
    for tool in ["docker.stop", "kubectl.apply", "service.restart", "host.facts", "backup.start"] {
        grants(tool, "deploy", &nothing, Some(&nothing), Some(&[])).unwrap();
    }
    pushed("shell", &spec(&[], &["sh"])).unwrap();
    pushed("shell", &spec(&[], &["*"])).unwrap();
}

#[test]
fn a_path_is_beneath_its_root_or_refused() {
    let spec = context(&[capability(&["fs.read"], &["/srv//app/./", "/srv/app/logs", "/opt"], &[])], &[]);
    let granted = pushed("fs.read", &spec).unwrap();
    assert_eq!(granted[0].roots, ["/opt", "/srv/app"]);
    for (path, found) in [
        ("/srv/app", Some(("/srv/app", ""))),
        ("/srv/app/", Some(("/srv/app", ""))),
        ("/srv/app/a/b", Some(("/srv/app", "a/b"))),
        ("//srv/./app//a//b/", Some(("/srv/app", "a//b/"))),
        ("/srv/app/..a/...", Some(("/srv/app", "..a/..."))),
        ("/srv/app/.a", Some(("/srv/app", ".a"))),
        ("/srv/application", None),
        ("/srv", None),
        ("/srv/app/../etc/shadow", None),
        ("/srv/app/..", None),
        ("/srv/app/a/../b", None),
        ("srv/app/a", None),
        ("./srv/app", None),
        ("", None),
        ("/srv/app/\0", None),
    ] {
        assert_eq!(granted[0].root_of(path), found, "{path:?}");
    }
    let everywhere = pushed("fs.read", &context(&[capability(&["*"], &["/"], &[])], &[])).unwrap();
    assert_eq!(everywhere[0].root_of("/etc/hosts"), Some(("/", "etc/hosts")));
    assert_eq!(everywhere[0].root_of("/"), Some(("/", "")));
    // What isn't absolute and plain grants nothing, wherever it came from.
    let climbing = context(&[capability(&["*"], &["/srv/../etc", "srv"], &[])], &[]);
    pushed("fs.read", &climbing).unwrap_err();
    let mounts = strings(&["/srv/../etc"]);
    grants("fs.read", "deploy", &spec, None, Some(&mounts)).unwrap_err();
}

#[test]
fn a_narrowed_root_is_reached_by_way_of_those_that_were_narrowed() {
    let asked = context(&[capability(&["*"], &["/srv", "/opt"], &[])], &[]);
    let own = context(&[capability(&["*"], &["/srv/app/logs", "/opt"], &[])], &[]);
    let mounts = strings(&["/srv/app", "/"]);
    let granted = grants("fs.read", "deploy", &asked, Some(&own), Some(&mounts)).unwrap();
    assert_eq!(granted[0].roots, ["/opt", "/srv/app/logs"]);
    assert_eq!(granted[0].steps_to("/srv/app/logs"), ["/", "/srv", "/srv/app/logs"]);
    assert_eq!(granted[0].steps_to("/opt"), ["/", "/opt"]);
}

#[test]
fn a_command_is_granted_by_the_name_or_the_path_that_it_is_called_by() {
    for (granted, called, allowed) in [
        ("ls", "ls", true),
        ("ls", "/usr/bin/ls", false),
        ("/usr/bin/ls", "/usr/bin/ls", true),
        ("/usr/bin/ls", "ls", false),
        ("/usr/bin/ls", "/usr/bin/lsof", false),
        ("ls", "lsof", false),
        ("ls", "ls -l", false),
        ("*", "anything", true),
        ("*", "/opt/any thing", true),
        ("*", "", false),
        ("*", "./ls", false),
        ("*", "bin/ls", false),
        ("*", "/usr/bin/../../srv/evil", false),
        ("*", "..", false),
        ("*", "l\0s", false),
        ("*", "*", false),
    ] {
        let spec = context(&[capability(&["cmd.run"], &[], &[granted])], &[]);
        let grant = &pushed("cmd.run", &spec).unwrap()[0];
        assert_eq!(grant.allows_command(called), allowed, "{granted} {called:?}");
    }
}

#[test]
fn a_domain_covers_itself_or_what_is_below_it() {
    for (granted, host, allowed) in [
        ("example.com", "example.com", true),
        ("example.com", "EXAMPLE.com.", true),
        ("Example.COM", "example.com", true),
        ("example.com", "a.example.com", false),
        ("*.example.com", "a.b.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "badexample.com", false),
        ("*.example.com", ".example.com", false),
        ("*.example.com", "*.example.com", false),
        ("*", "example.com", true),
        ("*", "", false),
        ("*", "a b", false),
    ] {
        let mut one = capability(&["a.b"], &[], &[]);
        one.domains = strings(&[granted]);
        let grant = &pushed("a.b", &context(&[one], &[])).unwrap()[0];
        assert_eq!(grant.allows_domain(host), allowed, "{granted} {host:?}");
    }
}

#[test]
fn rates_add_up_and_the_smaller_output_counts() {
    let bounded = |rate: &str, size| Capability {
        rate_limit: Some(rate.parse().unwrap()),
        max_output: Some(ByteSize(size)),
        ..capability(&["host.facts"], &[], &[])
    };
    let asked = context(&[capability(&["shell"], &[], &["sh"]), bounded("10/m", 100)], &[]);
    let own = context(&[bounded("1/s", 50), capability(&["host.*"], &[], &[])], &[]);
    let granted = grants("host.facts", "deploy", &asked, Some(&own), None).unwrap();
    let keys: Vec<Vec<&str>> =
        granted.iter().map(|grant| grant.rates.iter().map(|(key, _)| key.as_str()).collect()).collect();
    assert_eq!(
        keys,
        [
            vec!["SecurityContext/deploy[1] 10/m", "localPolicy[0] 1/s"],
            vec!["SecurityContext/deploy[1] 10/m"]
        ]
    );
    assert_eq!([granted[0].max_output, granted[1].max_output], [Some(50), Some(100)]);
}

/// What a call touches.
#[derive(Debug, Clone)]
struct Call {
    tool: &'static str,
    path: &'static str,
    command: &'static str,
    domain: &'static str,
}

fn call() -> impl Strategy<Value = Call> {
    let tool = select(vec!["fs.read", "fs.write", "cmd.run", "shell", "web.get", "fsx.read"]);
    let path = select(vec!["/", "/a", "/a/b", "/a/b/c", "/ab", "/a/../b", "/b/a", "a", "/b//a/."]);
    let command = select(vec!["sh", "ls", "/bin/ls", "./ls", "lsof"]);
    let domain = select(vec!["x.org", "a.x.org", "b.a.x.org", "ax.org"]);
    (tool, path, command, domain).prop_map(|(tool, path, command, domain)| Call {
        tool,
        path,
        command,
        domain,
    })
}

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    collection::vec(select(of).prop_map(str::to_owned), 0..3)
}

fn spec() -> impl Strategy<Value = SecurityContextSpec> {
    const TOOLS: &[&str] = &["fs.read", "fs.*", "cmd.run", "shell", "*", "web.get"];
    let capability = (
        some(TOOLS),
        some(&["/", "/a", "/a/b", "/ab", "/b"]),
        some(&["sh", "ls", "/bin/ls", "*"]),
        some(&["x.org", "*.x.org", "*.a.x.org", "*"]),
        option::of(1..9u64),
    )
        .prop_map(|(tools, paths, commands, domains, size)| Capability {
            tools,
            paths,
            commands,
            domains,
            rate_limit: None,
            max_output: size.map(ByteSize),
        });
    let deny = collection::btree_set(select(TOOLS).prop_map(str::to_owned), 0..2);
    (
        collection::vec(capability, 0..4),
        prop_oneof![3 => Just(UniqueSet::default()), 1 => deny.prop_map(UniqueSet)],
    )
        .prop_map(|(capabilities, deny)| SecurityContextSpec { capabilities, deny })
}

/// Whether one grant allows all of the call.
fn allows(granted: &Result<Vec<Grant>, Denied>, call: &Call) -> bool {
    granted.iter().flatten().any(|grant| match call.tool {
        "fs.read" | "fs.write" => grant.root_of(call.path).is_some(),
        "cmd.run" => grant.allows_command(call.command),
        "web.get" => grant.allows_domain(call.domain),
        "shell" => grant.allows_command("sh"),
        _ => true,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_allowed_together_is_what_each_allows(asked in spec(), own in spec(), call in call()) {
        let alone = pushed(call.tool, &asked);
        let owner = grants(call.tool, "own", &own, None, None);
        let both = grants(call.tool, "deploy", &asked, Some(&own), None);
        prop_assert_eq!(allows(&both, &call), allows(&alone, &call) && allows(&owner, &call), "{:?}", both);
    }

    #[test]
    fn mount_points_narrow_paths_and_nothing_else(
        asked in spec(),
        mounts in some(&["/", "/a", "/a/b/c", "/b"]),
        call in call(),
    ) {
        let alone = pushed(call.tool, &asked);
        let mounted = grants(call.tool, "deploy", &asked, None, Some(&mounts));
        let beneath = mounts.iter().any(|mount| path::below(mount, call.path).is_some());
        let is_file = call.tool.starts_with("fs.");
        prop_assert_eq!(allows(&mounted, &call), allows(&alone, &call) && (beneath || !is_file));
    }

    #[test]
    fn each_field_only_narrows_when_something_is_taken_from_it(asked in spec(), call in call(), field in 0..5u8) {
        let before = allows(&pushed(call.tool, &asked), &call);
        let mut less = asked;
        let Some(one) = less.capabilities.first_mut() else { return Ok(()) };
        match field {
            0 => drop(one.tools.pop()),
            1 => drop(one.paths.pop()),
            2 => drop(one.commands.pop()),
            3 => drop(one.domains.pop()),
            _ => drop(less.deny.0.insert(call.tool.to_owned())),
        }
        let after = allows(&pushed(call.tool, &less), &call);
        prop_assert!(before || !after);
        prop_assert!(field != 4 || !after || call.tool.starts_with("edge."));
    }

    #[test]
    fn the_output_of_a_combination_is_at_most_that_of_its_parts(asked in spec(), own in spec(), call in call()) {
        let Ok(both) = grants(call.tool, "deploy", &asked, Some(&own), None) else { return Ok(()) };
        let largest = |spec: &SecurityContextSpec| {
            let named = spec.capabilities.iter().filter(|c| c.tools.iter().any(|p| pattern::names_tool(p, call.tool)));
            named.map(|c| c.max_output.map_or(u64::MAX, |size| size.0)).max().unwrap_or(0)
        };
        let bound = largest(&asked).min(largest(&own));
        prop_assert!(both.iter().all(|grant| grant.max_output.unwrap_or(u64::MAX) <= bound));
    }
}

#[test]
fn commands_and_domains_that_name_nothing_are_refused() {
    let check = |commands: &[&str], domains: &[&str]| {
        let mut one = capability(&["cmd.run"], &[], commands);
        one.domains = strings(domains);
        SecurityContext::check("deploy", &context(&[one], &[]))
    };
    check(&["ls", "/usr/bin/ls", "*", "g++"], &["example.com", "*.example.com", "*", "localhost"]).unwrap();
    for command in ["", "bin/ls", "./ls", "ls -l", "/usr/../ls", "l\0s", ".", "/"] {
        let refusal = check(&[command], &[]).unwrap_err();
        assert_eq!(refusal.field.as_deref(), Some("capabilities[0].commands[0]"), "{command:?}");
    }
    for domain in ["", "*.", "a..b", "https://example.com", "*example.com", "a.*.com", "-a.com", "a b"] {
        let refusal = check(&[], &[domain]).unwrap_err();
        assert_eq!(refusal.field.as_deref(), Some("capabilities[0].domains[0]"), "{domain:?}");
    }
    let refusal = SecurityContext::check("deploy", &context(&[capability(&["*"], &["/a\0b"], &[])], &[]));
    assert_eq!(refusal.unwrap_err().field.as_deref(), Some("capabilities[0].paths[0]"));
}
