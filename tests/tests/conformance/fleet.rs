//! Apps, kits and secrets with a target: declared at a controller, made so by the daemons of the hosts, told back.

use aegis_tests::{Daemon, World, eventually, runtime::BOOTS};

use crate::stage::Stage;

crate::scenarios! {
    a_controller_hands_apps_and_secrets_to_the_hosts_of_their_target,
}

const SECRET: &str = "sk-of-the-fleet-81f3";

fn a_controller_hands_apps_and_secrets_to_the_hosts_of_their_target(stage: &Stage) {
    let runtime = &stage.runtime;
    let world = World::new();
    world.enroll("web-1");
    let mut host = Daemon::start(runtime.program(), &world.config("web-1"));
    host.wait_for("Connected");
    let manifest = format!(
        "apiVersion: aegis.dev/v1\nkind: EdgeNode\nmetadata: {{name: web-1}}\nspec: {{tags: [web]}}\n---\n\
         apiVersion: aegis.dev/v1\nkind: Secret\nmetadata: {{name: FLEET_TOKEN}}\nspec:\n  \
         valueFrom: {{env: FLEET_TOKEN_VALUE}}\n  target: tags=web\n---\n\
         apiVersion: aegis.dev/v1\nkind: App\nmetadata: {{name: shop}}\nspec:\n  image: {}\n  \
         command: [httpd, -f, -p, '80', -h, /srv]\n  expose: [80]\n  serve: true\n  secrets: [FLEET_TOKEN]\n  \
         target: tags=web\n",
        stage.web
    );
    world.write("fleet/all.yaml", &manifest);
    let admin = world.admin().env("FLEET_TOKEN_VALUE", SECRET);
    let applied = admin.run("apply --yes -f fleet").ok();
    assert!(!applied.stdout.contains(SECRET), "{applied:?}");
    admin.run("diff --exit-code -f fleet").ok();
    eventually("the app is served on the host", BOOTS, || {
        (runtime.page("shop").text() == "one\n").then_some(())
    });
    assert!(runtime.files_with(SECRET).is_empty(), "{:?}", runtime.files_with(SECRET));
    // What a command prints is kept in the logs, by its own doing: the length will do.
    runtime.exec("shop", "echo ${#FLEET_TOKEN}").ok().says(&SECRET.len().to_string());
    eventually("the controller knows", BOOTS, || {
        let described = world.run("describe app/shop --realm controller").ok();
        (described.stdout.contains("web-1") && described.stdout.contains("ready")).then_some(())
    });
    // Out of the target: it goes, and with it what it had.
    world.run("edge tag rm web-1 web").ok();
    eventually("nothing of it runs on the host", BOOTS, || {
        (runtime.live("shop").is_empty() && runtime.run("app info shop").code != 0).then_some(())
    });
    world.audit_is_intact();
}
