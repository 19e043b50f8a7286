//! Apps, kits and secrets by manifests, with the real aegisd: no guest boots here, as nothing is declared to serve. What
//! boots is in the conformance suite.

use std::fs;

use aegis_tests::{
    Controller, Program, eventually,
    runtime::{
        BOOTS, Runtime,
        image::{Image, Layer},
        registry::Registry,
    },
};

const SECRET: &str = "correct-horse-battery-staple";

struct Stage {
    runtime: Runtime,
    registry: Registry,
    image: String,
}

impl Stage {
    fn new() -> Self {
        let registry = Registry::start();
        let image = registry.push("test/app:1", &image("one"));
        Self { runtime: Runtime::start(""), registry, image }
    }
    fn program(&self) -> Program {
        self.runtime.program().clone().env("TOKEN", SECRET)
    }
    fn write(&self, file: &str, text: &str) {
        let folder = self.runtime.path().join("team");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
    }
    fn app(&self, more: &str) -> String {
        format!(
            "---\napiVersion: aegis.dev/v1\nkind: App\nmetadata: {{name: web}}\nspec:\n  image: {}\n  command: [httpd]\n{more}",
            self.image
        )
    }
}

fn image(content: &str) -> Image {
    let layer = Layer::new().folder("bin").folder("tmp").file("bin/httpd", 0o755, content);
    Image::new().layer(&layer)
}

const TOKEN: &str =
    "---\napiVersion: aegis.dev/v1\nkind: Secret\nmetadata: {name: TOKEN}\nspec: {valueFrom: {env: TOKEN}}\n";

#[test]
fn apps_are_declared_without_a_controller_and_nothing_is_left_to_plan() {
    let stage = Stage::new();
    let kit = format!(
        "---\napiVersion: aegis.dev/v1\nkind: Kit\nmetadata: {{name: kit}}\nspec: {{version: 1.0.0, image: '{}'}}\n",
        stage.image
    );
    let own = "---\napiVersion: aegis.dev/v1\nkind: Secret\nmetadata: {name: KEY}\nspec: {scope: {app: web}, valueFrom: {env: TOKEN}}\n";
    stage.write(
        "all.yaml",
        &[own, &stage.app("  release: {label: v1}\n  kit: kit\n  secrets: [TOKEN]\n"), TOKEN, &kit].concat(),
    );
    let program = stage.program();
    program.run("diff -f team --exit-code").exit(10).says("+ App/web create").says("+ value");
    program.run("apply -f team --yes --wait").ok().says("4 created");
    program.run("diff -f team --exit-code").ok();
    program.run("diff -f team --exit-code --owner other").ok();
    program.run("get apps").ok().says("web").says("ready").says("local");
    program.run("describe App/web").ok().says("is published");
    program.run("app info web").ok().says("(v1)");
    program.run("secret list web").ok().says("KEY");
    program.run("history").ok().says("apply -f team");
    // Exported, it is as it was, and has no values in it.
    let exported = program.run("export").ok();
    stage.write("all.yaml", &exported.stdout);
    program.run("diff -f team --exit-code").ok();
    assert_eq!(stage.runtime.files_with(SECRET), [] as [std::path::PathBuf; 0]);
    // Fields of another owner are a conflict.
    stage.write("all.yaml", &stage.app("  env: {A: b}\n").replace("[httpd]", "[other]"));
    program.run("apply -f team --yes --owner other").exit(11).says("command is owned by team");
    // What is no longer declared goes, the secrets before their app.
    stage.write("all.yaml", "");
    program.run("apply -f team --yes --prune").ok().says("4 deleted");
    eventually("its releases are gone", BOOTS, || program.run("app info web").code.ne(&0).then_some(()));
    // The history has no values: a secret that is gone has to be given again, and what needs it waits.
    program.run("rollback 1 --yes").exit(1).says("Kit/kit created").says("its value isn't known here");
}

#[test]
fn another_digest_of_the_same_tag_and_another_command_are_new_releases() {
    let stage = Stage::new();
    let program = stage.program();
    stage.write("all.yaml", &stage.app("  release: {}\n"));
    let releases = || {
        let found = stage.runtime.get("/v1/apps/web/releases");
        found.as_array().map_or(0, Vec::len)
    };
    program.run("apply -f team --yes --wait").ok();
    program.run("apply -f team --yes --wait").ok().says("1 unchanged");
    assert_eq!(releases(), 1);
    stage.write("all.yaml", &stage.app("  release: {}\n  env: {A: b}\n"));
    program.run("apply -f team --yes --wait").ok().says("1 updated");
    assert_eq!(releases(), 2);
    stage.registry.push("test/app:1", &image("two"));
    // It is looked at again when anything is declared of the app.
    stage.write("all.yaml", &stage.app("  release: {}\n  env: {A: c}\n"));
    program.run("apply -f team --yes --wait").ok();
    let all = stage.runtime.get("/v1/apps/web/releases");
    let digests: std::collections::BTreeSet<String> =
        all.as_array().unwrap().iter().map(|release| release["image_digest"].to_string()).collect();
    assert_eq!((releases(), digests.len()), (3, 2));
    // Back to what was declared first, by hand and by history.
    program.run("rollback 1 --yes").ok();
    program.run("diff -f team --exit-code").exit(10);
}

#[test]
fn a_secret_shows_as_changed_and_never_as_a_value() {
    let stage = Stage::new();
    let program = stage.program();
    stage.write("all.yaml", TOKEN);
    program.run("apply -f team --yes").ok().says_not(SECRET);
    // The same value from elsewhere is no difference.
    fs::write(stage.runtime.path().join("team/token.txt"), format!("{SECRET}\n")).unwrap();
    stage.write("all.yaml", &TOKEN.replace("env: TOKEN", "file: token.txt"));
    program.run("diff -f team --exit-code").ok();
    let other = "another-battery";
    let changed = program.clone().env("TOKEN", other);
    stage.write("all.yaml", TOKEN);
    changed
        .run("diff -f team --exit-code")
        .exit(10)
        .says("~ value (changed)")
        .says_not(other)
        .says_not(SECRET);
    changed.run("apply -f team --yes -o json").ok().says_not(other);
    program.run("diff -f team --exit-code").exit(10);
    // The history has no values: going back leaves them as they are.
    program.run("rollback 1 --yes").ok().says_not("changed)");
    // A literal is taken, with a warning that names the place.
    stage.write("all.yaml", &TOKEN.replace("valueFrom: {env: TOKEN}", &format!("value: {other}")));
    program.run("diff -f team --exit-code").ok().says("team/all.yaml:5").says_not(other);
    // By hand it is drift, which the next apply puts back.
    program.run("secret set-workspace TOKEN by-hand").ok();
    stage.write("all.yaml", TOKEN);
    changed.run("apply -f team --yes").ok().says("value (changed)");
    // What isn't set names the place, and nothing is changed.
    let bare = program.clone().without("TOKEN");
    for verb in ["validate", "diff", "apply --yes"] {
        bare.run(&format!("{verb} -f team"))
            .exit(2)
            .says("team/all.yaml:5")
            .says("the variable TOKEN isn't set");
    }
    for value in [SECRET, other, "by-hand"] {
        let found = stage.runtime.files_with(value);
        assert_eq!(found, [] as [std::path::PathBuf; 0], "{value}");
    }
}

#[test]
fn what_names_something_that_is_not_there_is_refused_with_its_place() {
    let stage = Stage::new();
    let program = stage.program();
    stage.write("all.yaml", &(stage.app("  secrets: [TOKN]\n  kit: nothing\n") + TOKEN));
    let refused = program.run("apply -f team --yes").exit(2);
    refused.says("there is no Secret/TOKN").says("did you mean 'TOKEN'?").says("there is no Kit/nothing");
    program.run("get App web").exit(5);
    program.run("secret list-workspace").ok().says_not("TOKEN");
    // Of an app that doesn't exist.
    stage.write("all.yaml", &TOKEN.replace("{valueFrom", "{scope: {app: nobody}, valueFrom"));
    program.run("apply -f team --yes").exit(2).says("there is no App/nobody");
}

#[test]
fn each_document_goes_to_its_realm_and_both_are_one_plan() {
    let stage = Stage::new();
    let directory = stage.runtime.path().join("controller");
    fs::create_dir_all(&directory).unwrap();
    let controller = Controller::start(&stage.program(), &directory);
    let group =
        "---\napiVersion: aegis.dev/v1\nkind: EdgeGroup\nmetadata: {name: web}\nspec: {selector: tags=web}\n";
    stage.write("all.yaml", &[group, TOKEN, &stage.app("")].concat());
    // The group is a controller's, and none is set: nothing is written anywhere.
    stage.program().run("apply -f team --yes").exit(2).says("no controller is set");
    stage.program().run("get App web").exit(5);
    let program = stage.program().env("AEGIS_CONTEXT", controller.context());
    let report = program.run("apply -f team --yes -o json").ok().json();
    assert_eq!(report["summary"]["created"], 3);
    assert!(report["revision"].is_u64() && report["local_revision"].is_u64(), "{report}");
    program.run("diff -f team --exit-code").ok();
    program.run("get EdgeGroup web").ok();
    program.run("get App").ok().says("local");
    program.run("history").ok().says("apply -f team");
    program.run("history --realm local").ok().says("apply -f team");
    program.run("delete -f team --yes").ok().says("3 deleted");
    program.run("get App web").exit(5);
    // An app manifest alone needs no controller, also when one is set that isn't there.
    drop(controller);
    stage.write("all.yaml", &(TOKEN.to_owned() + &stage.app("")));
    program.run("apply -f team --yes").ok().says("2 created");
    program.run("delete App/web --realm local --yes").ok();
}

#[test]
fn the_examples_of_apps_can_be_applied() {
    let runtime = Runtime::start("");
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/app");
    let program = runtime.program().clone().env("GREETING_TOKEN", "abc");
    program.run("secret set-workspace GREETING hello").ok();
    // Their images are the demo's: that they can't be pulled here is the status of the apps, and no failure of the apply.
    program.run(&format!("apply --yes -f {}", examples.display())).ok().says("created");
    program.run(&format!("diff --exit-code -f {}", examples.display())).ok();
    eventually("it is said", BOOTS, || {
        let shown = program.run("describe App/hello").ok();
        shown.stdout.contains("waiting").then_some(())
    });
}
