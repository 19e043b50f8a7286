//! Secrets reach the process that shall have them, and nothing else.

use aegis_tests::runtime::{http::Request, processes};
use serde_json::json;
use sha2::Digest;

use crate::stage::{App, HTTPD, Stage};

crate::scenarios! {
    secrets_are_set_listed_and_deleted_and_never_shown,
    a_secret_is_in_the_environment_and_nowhere_else,
    what_is_nearer_wins,
    a_secret_from_standard_input_is_on_no_command_line,
}

fn secrets_are_set_listed_and_deleted_and_never_shown(stage: &Stage) {
    let runtime = &stage.runtime;
    let app = App::create(runtime, "holder", &stage.web, &HTTPD, json!({}));
    runtime.run("secret set holder API_KEY sk-shown-nowhere").ok().says("Secret API_KEY set for holder");
    runtime.run("secret set holder OTHER sk-other-value").ok();
    runtime.run("secret list holder").ok().says("Secrets for holder:\n  API_KEY\n  OTHER").says_not("sk-");
    runtime
        .run("secret set-workspace SHARED_TOKEN sk-shared-value")
        .ok()
        .says("Workspace secret SHARED_TOKEN set");
    runtime
        .run("secret list-workspace")
        .ok()
        .says("Workspace secrets:")
        .says("  SHARED_TOKEN")
        .says_not("sk-");
    for path in ["/v1/apps/holder/secrets", "/v1/secrets", "/v1/apps/holder/secrets/API_KEY"] {
        assert!(!runtime.ask(&Request::get(path)).text().contains("sk-"), "{path}");
    }
    runtime.run("secret delete holder API_KEY").ok().says("Secret API_KEY deleted from holder");
    runtime.run("secret list holder").ok().says_not("API_KEY").says("OTHER");
    assert_ne!(runtime.run("secret delete holder API_KEY").code, 0);
    assert_ne!(runtime.run("secret set nobody KEY value").code, 0);
    assert_ne!(runtime.run("secret set holder 'NOT A NAME' value").code, 0);
    runtime.run("secret delete-workspace SHARED_TOKEN").ok();
    runtime.run("secret list-workspace").ok().says_not("SHARED_TOKEN");
    drop(app);
}

fn a_secret_is_in_the_environment_and_nowhere_else(stage: &Stage) {
    let runtime = &stage.runtime;
    let secret = format!("sk-hidden-{}-{}", stage.backend, "7d1f42c99b0e");
    let app = App::create(runtime, "hider", &stage.web, &HTTPD, json!({}));
    let put = Request::new("PUT", "/v1/apps/hider/secrets/HIDDEN").json(&json!({"value": secret}));
    let answer = runtime.ask(&put);
    assert!(answer.status < 300, "{}", answer.text());
    app.publish();
    let id = app.serve();
    // The process has it, and so has an exec.
    // Told by its digest: what an exec prints is in the log, whatever it is.
    let digest = hex::encode(sha2::Sha256::digest(secret.as_bytes()));
    let sum = "printf %s \"$HIDDEN\" | sha256sum";
    runtime.exec("hider", sum).ok().says(&digest);
    let of_main = "tr '\\0' '\\n' </proc/$(pidof httpd | cut -d ' ' -f 1)/environ | sed -n 's/^HIDDEN=//p' | tr -d '\\n' | sha256sum";
    runtime.exec("hider", of_main).ok().says(&digest);
    runtime.exec("hider", "cat /proc/cmdline").ok().says_not(&secret);
    // Outside it is on no disk, on no command line, in no environment, in no log and in no answer.
    assert_eq!(runtime.files_with(&secret), Vec::<std::path::PathBuf>::new());
    let daemon = runtime.pid().unwrap();
    let shown = processes::that_show(&secret);
    let outside: Vec<_> = shown
        .iter()
        .filter(|found| stage.is_vm() || !processes::below(daemon).contains(&found.pid))
        .collect();
    assert!(outside.is_empty(), "{outside:#?}");
    for command in [format!("instance info {id}"), "app info hider".into(), "logs hider".into()] {
        runtime.run(&command).says_not(&secret);
    }
}

fn what_is_nearer_wins(stage: &Stage) {
    let runtime = &stage.runtime;
    for (line, key) in [("set-workspace", "NEARER"), ("set-workspace", "FAR"), ("set-workspace", "MIDDLE")] {
        runtime.run(&format!("secret {line} {key} of-the-workspace")).ok();
    }
    let more = json!({"options": {"env": {"NEARER": "explicit"}, "secrets": ["FAR", "MIDDLE", "NEARER"]}});
    let app = App::create(runtime, "nearer", &stage.web, &HTTPD, more);
    runtime.run("secret set nearer NEARER of-the-app").ok();
    runtime.run("secret set nearer MIDDLE of-the-app").ok();
    app.publish();
    let id = app.serve();
    let said = runtime.exec("nearer", "echo $NEARER $MIDDLE $FAR").ok();
    assert_eq!(said.stdout, "explicit of-the-app of-the-workspace\n");
    // Resolved anew at each start.
    runtime.run("secret set nearer MIDDLE changed").ok();
    runtime.run(&format!("instance stop {id}")).ok();
    runtime.wait_for(&id, "stopped");
    runtime.run(&format!("instance start {id}")).ok();
    runtime.wait_for(&id, "running");
    assert_eq!(runtime.exec("nearer", "echo $MIDDLE").ok().stdout, "changed\n");
    // A task gets the secrets that it names, and no others.
    let said = runtime.shell("--secret FAR --env MINE=1", "echo [$FAR] [$MIDDLE] [$MINE]").ok();
    assert_eq!(said.stdout, "[of-the-workspace] [] [1]\n");
    let said = runtime.run("run --secret NOBODY_SET_THIS -- true");
    assert_ne!(said.code, 0);
    assert!(said.stderr.contains("NOBODY_SET_THIS"), "{said:#?}");
}

fn a_secret_from_standard_input_is_on_no_command_line(stage: &Stage) {
    let runtime = &stage.runtime;
    let _app = App::create(runtime, "typed", &stage.web, &HTTPD, json!({}));
    runtime.program().run_with("secret set typed PASSWORD --stdin", "from a pipe\n").ok();
    runtime.program().run_with("secret set-workspace PASSWORD_OF_ALL --stdin", "from a pipe\n").ok();
    runtime.run("secret list typed").ok().says("PASSWORD");
    let said = runtime.shell("--secret PASSWORD_OF_ALL", "echo \"[$PASSWORD_OF_ALL]\"").ok();
    assert_eq!(said.stdout, "[from a pipe]\n");
    runtime.run("secret delete-workspace PASSWORD_OF_ALL").ok();
}
