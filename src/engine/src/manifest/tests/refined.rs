//! Fields with a grammar of their own: the caret stands under the spot within the text.

use crate::{
    declare::Kinds,
    manifest::{Sources, load},
};

fn rendered(selector: &str) -> String {
    let text = format!(
        "apiVersion: aegis.dev/v1\nkind: EdgeGroup\nmetadata:\n  name: web\nspec:\n  selector: {selector}\n"
    );
    let sources = Sources::from_texts([("fleet.yaml", text)]).unwrap();
    load(&sources, &Kinds).map(|_| ()).unwrap_err().render(false)
}

#[test]
fn a_selector_is_marked_where_it_is_wrong() {
    let plain = rendered("tags=prod tgs=web");
    assert!(plain.contains("unknown key 'tgs'\n --> fleet.yaml:6:23\n"), "{plain}");
    assert!(plain.contains("|                       ^^^"), "{plain}");
    assert!(plain.contains("did you mean 'tags'?"), "{plain}");

    let quoted = rendered("\"os=linux os=macos\"");
    assert!(quoted.contains(" --> fleet.yaml:6:23\n"), "{quoted}");
}

#[test]
fn a_selector_that_does_not_stand_as_it_is_is_marked_as_a_whole() {
    let escaped = rendered("\"tags=prod\\u0020tgs=web\"");
    assert!(escaped.contains("unknown key 'tgs'\n --> fleet.yaml:6:13\n"), "{escaped}");
}

#[test]
fn a_rollouts_target_is_marked_where_it_is_wrong() {
    let text = "apiVersion: aegis.dev/v1\nkind: Rollout\nmetadata:\n  name: web\nspec:\n  target: tgs=web\n  tool: shell\n";
    let sources = Sources::from_texts([("fleet.yaml", text.to_owned())]).unwrap();
    let shown = load(&sources, &Kinds).map(|_| ()).unwrap_err().render(false);
    assert!(shown.contains("unknown key 'tgs'\n --> fleet.yaml:6:11\n"), "{shown}");
}

#[test]
fn a_batch_that_is_none_is_marked_with_its_path_and_the_way_out() {
    for batch in ["0", "-1", "101%", "4294967296", "1 0"] {
        let text = format!(
            "apiVersion: aegis.dev/v1\nkind: Rollout\nmetadata:\n  name: web\nspec:\n  target: all\n  tool: shell\n  \
             strategy:\n    batch: {batch}\n"
        );
        let sources = Sources::from_texts([("fleet.yaml", text)]).unwrap();
        let shown = load(&sources, &Kinds).map(|_| ()).unwrap_err().render(false);
        let what = "'spec.strategy.batch' must be a number of hosts above 0, or a share from 1% to 100%\n --> fleet.yaml:9:12\n";
        assert!(shown.contains(what), "{shown}");
        assert!(
            shown.contains("= help: leave it out for one host at a time, or write such as 2 or 25%"),
            "{shown}"
        );
    }
}
