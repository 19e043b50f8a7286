//! Every route, once: what it is called, what it takes and gives, and who answers it. The `OpenAPI` document is made of
//! the same table.

use std::sync::{Arc, LazyLock};

use aegis_wire::runtime::{
    App, CreateApp, CreateInstance, CreateTask, Exec, Image, Instance, Kit, Pruned, Publish, PutSecret,
    Release, Rollback, Rotated, RuntimeError, SecretNames, Serve, Status, Task, UpdateApp,
};
use futures::future::BoxFuture;
use http::Method;
use schemars::{Schema, SchemaGenerator};

use super::{
    apps,
    call::{Answer, Call, decode},
    exec, images, instances, kits, realm, secrets, status, tasks,
};
use crate::state::Daemon;

/// Answers a request.
type Run = fn(Arc<Daemon>, Call) -> BoxFuture<'static, Result<Answer, RuntimeError>>;
/// A type's schema.
pub(super) type Of = fn(&mut SchemaGenerator) -> Schema;

/// A route.
pub(super) struct Route {
    pub method: Method,
    /// With names in braces for what varies.
    pub path: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// What its body is.
    pub request: Option<Of>,
    /// What it answers with.
    pub gives: Gives,
    /// What its query may say.
    pub query: &'static [&'static str],
    /// With which codes it may refuse.
    pub refuses: &'static [u16],
    /// Whether its body may be a stream. Then it ends with its client.
    pub streams: bool,
    /// Whether it is in the document: what `aegis` and `aegisd` of one build say to each other isn't.
    pub is_documented: bool,
    pub run: Run,
}

/// What a route answers with.
pub(super) enum Gives {
    /// 200 and a JSON body.
    Ok(Of),
    /// 201 and a JSON body.
    Created(Of),
    /// 201 for a new one and 200 for one that was there.
    CreatedOrOk(Of),
    /// 200 and records, one a line.
    Records,
    /// 204.
    Nothing,
}

/// What a path and a method lead to.
pub(super) enum Found {
    Route(&'static Route, Vec<String>),
    /// The path is there, for other methods.
    OtherMethods(Vec<Method>),
    Nothing,
}

/// The routes in the order of the document.
pub(super) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(routes);

fn of<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

macro_rules! run {
    ($handler:path) => {
        |daemon, call| Box::pin($handler(daemon, call))
    };
}

fn route(method: Method, path: &'static str, summary: &'static str, gives: Gives, run: Run) -> Route {
    Route {
        method,
        path,
        summary,
        request: None,
        gives,
        query: &[],
        refuses: &[],
        streams: false,
        is_documented: true,
        run,
    }
}

impl Route {
    fn takes<T: schemars::JsonSchema>(mut self) -> Self {
        self.request = Some(of::<T>);
        self
    }
    fn refuses(mut self, codes: &'static [u16]) -> Self {
        self.refuses = codes;
        self
    }
    fn query(mut self, names: &'static [&'static str]) -> Self {
        self.query = names;
        self
    }
}

const LOG_QUERY: &[&str] = &["follow", "since", "tail", "source"];

#[rustfmt::skip]
fn routes() -> Vec<Route> {
    use Gives::{Created, CreatedOrOk, Nothing, Ok, Records};
    let (get, post, put, patch, delete) = (Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE);
    let mut routes = vec![
        route(get.clone(), "/v1/status", "what the daemon is and can do", Ok(of::<Status>), run!(status::status)),

        route(post.clone(), "/v1/tasks", "run a command once, in a guest of its own", Created(of::<Task>), run!(tasks::create))
            .takes::<CreateTask>().refuses(&[400, 422]),
        route(get.clone(), "/v1/tasks", "the tasks that are kept, the newest first", Ok(of::<Vec<Task>>), run!(tasks::list)),
        route(get.clone(), "/v1/tasks/{id}", "one task", Ok(of::<Task>), run!(tasks::get)).refuses(&[404]),
        route(get.clone(), "/v1/tasks/{id}/logs", "what a task writes, and how it ends", Records, run!(tasks::logs))
            .query(LOG_QUERY).refuses(&[400, 404]),
        route(delete.clone(), "/v1/tasks/{id}", "end a task; forget one that is over", Nothing, run!(tasks::cancel)).refuses(&[404]),

        route(post.clone(), "/v1/instances", "run a server in a guest of its own", Created(of::<Instance>), run!(instances::create))
            .takes::<CreateInstance>().refuses(&[400, 409, 422]),
        route(get.clone(), "/v1/instances", "all instances, the oldest first", Ok(of::<Vec<Instance>>), run!(instances::list)),
        route(get.clone(), "/v1/instances/{id}", "one instance", Ok(of::<Instance>), run!(instances::get)).refuses(&[404]),
        route(delete.clone(), "/v1/instances/{id}", "stop an instance and forget it", Nothing, run!(instances::delete)).refuses(&[404]),
        route(post.clone(), "/v1/instances/{id}/pause", "stop its CPUs", Ok(of::<Instance>), run!(instances::pause)).refuses(&[404, 409]),
        route(post.clone(), "/v1/instances/{id}/resume", "let its CPUs run again", Ok(of::<Instance>), run!(instances::resume)).refuses(&[404, 409]),
        route(post.clone(), "/v1/instances/{id}/stop", "end its guest; its record and logs stay", Ok(of::<Instance>), run!(instances::stop)).refuses(&[404]),
        route(post.clone(), "/v1/instances/{id}/start", "boot it again, and wait until it is ready", Ok(of::<Instance>), run!(instances::start)).refuses(&[404, 409, 422]),
        route(get.clone(), "/v1/instances/{id}/logs", "what an instance writes", Records, run!(instances::logs))
            .query(LOG_QUERY).refuses(&[400, 404]),
        Route { streams: true, ..route(post.clone(), "/v1/instances/{id}/exec", "run a command in an instance; as application/x-ndjson its input follows the first line", Records, run!(exec::exec))
            .takes::<Exec>().refuses(&[400, 404, 409, 413, 422]) },

        route(post.clone(), "/v1/apps", "create an app", Created(of::<App>), run!(apps::create)).takes::<CreateApp>().refuses(&[400, 409, 422]),
        route(get.clone(), "/v1/apps", "all apps, by name", Ok(of::<Vec<App>>), run!(apps::list)),
        route(get.clone(), "/v1/apps/{app}", "one app, by name or id", Ok(of::<App>), run!(apps::get)).refuses(&[404]),
        route(patch, "/v1/apps/{app}", "change an app", Ok(of::<App>), run!(apps::update)).takes::<UpdateApp>().refuses(&[400, 404, 409, 422]),
        route(delete.clone(), "/v1/apps/{app}", "delete an app with its releases and instances", Nothing, run!(apps::delete)).refuses(&[404, 409]),
        route(post.clone(), "/v1/apps/{app}/publish", "make a release of an app as it is now", Created(of::<Release>), run!(apps::publish))
            .takes::<Publish>().refuses(&[400, 404, 422]),
        route(get.clone(), "/v1/apps/{app}/releases", "an app's releases, the newest first", Ok(of::<Vec<Release>>), run!(apps::releases)).refuses(&[404]),
        route(post.clone(), "/v1/apps/{app}/serve", "serve an app: its instance, a new one or that which runs", CreatedOrOk(of::<Instance>), run!(apps::serve))
            .takes::<Serve>().refuses(&[400, 404, 409, 422]),
        route(post.clone(), "/v1/apps/{app}/rollback", "go back to an earlier release", Ok(of::<Release>), run!(apps::rollback))
            .takes::<Rollback>().refuses(&[400, 404, 409, 422]),

        route(put.clone(), "/v1/apps/{app}/secrets/{key}", "set a secret of an app", Nothing, run!(secrets::put_of_app)).takes::<PutSecret>().refuses(&[400, 404, 422]),
        route(get.clone(), "/v1/apps/{app}/secrets", "the names of an app's secrets", Ok(of::<SecretNames>), run!(secrets::names_of_app)).refuses(&[404]),
        route(delete.clone(), "/v1/apps/{app}/secrets/{key}", "delete a secret of an app", Nothing, run!(secrets::delete_of_app)).refuses(&[404, 409]),
        route(put, "/v1/secrets/{key}", "set a secret of the workspace", Nothing, run!(secrets::put_of_workspace)).takes::<PutSecret>().refuses(&[400, 422]),
        route(get.clone(), "/v1/secrets", "the names of the workspace's secrets", Ok(of::<SecretNames>), run!(secrets::names_of_workspace)),
        route(delete.clone(), "/v1/secrets/{key}", "delete a secret of the workspace", Nothing, run!(secrets::delete_of_workspace)).refuses(&[404, 409]),
        route(post.clone(), "/v1/secrets/rotate", "replace the key that secrets are sealed with", Ok(of::<Rotated>), run!(secrets::rotate)),

        route(post.clone(), "/v1/kits", "install a kit, or another version of it", Created(of::<Kit>), run!(kits::install)).takes::<Kit>().refuses(&[400, 422]),
        route(get.clone(), "/v1/kits", "all kits, by name", Ok(of::<Vec<Kit>>), run!(kits::list)),
        route(get.clone(), "/v1/kits/{name}", "one kit", Ok(of::<Kit>), run!(kits::get)).refuses(&[404]),
        route(delete.clone(), "/v1/kits/{name}", "remove a kit", Nothing, run!(kits::uninstall)).refuses(&[404, 409]),

        route(get, "/v1/images", "the cached images", Ok(of::<Vec<Image>>), run!(images::list)),
        route(delete, "/v1/images/{image}", "remove an image, by reference or digest", Nothing, run!(images::delete)).refuses(&[404, 409]),
        route(post.clone(), "/v1/images/prune", "remove the images that nothing needs", Ok(of::<Pruned>), run!(images::prune)),
    ];
    routes.push(Route {
        is_documented: false,
        ..route(post, "/v1/realm/{call}", "what is declared, as the engine asks for it", Nothing, run!(realm::call))
    });
    routes
}

/// The route of a request.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let mut others = Vec::new();
    let given: Vec<&str> = path.split('/').collect();
    for route in ROUTES.iter() {
        let Some(segments) = matches(route.path, &given) else { continue };
        if route.method == *method {
            return Found::Route(route, segments);
        }
        others.push(route.method.clone());
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) }
}

/// What stands where `pattern` has names in braces; none when the path is another.
fn matches(pattern: &str, given: &[&str]) -> Option<Vec<String>> {
    let wanted: Vec<&str> = pattern.split('/').collect();
    if wanted.len() != given.len() {
        return None;
    }
    let mut segments = Vec::new();
    for (wanted, given) in wanted.iter().zip(given) {
        if wanted.starts_with('{') {
            if given.is_empty() {
                return None;
            }
            segments.push(decode(given).ok()?);
        } else if wanted != given {
            return None;
        }
    }
    Some(segments)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]
    use super::*;

    fn path_of(method: &Method, path: &str) -> (&'static str, Vec<String>) {
        match find(method, path) {
            Found::Route(route, segments) => (route.path, segments),
            Found::OtherMethods(_) => ("other", Vec::new()),
            Found::Nothing => ("nothing", Vec::new()),
        }
    }

    #[test]
    fn a_path_leads_to_its_route_and_to_no_other() {
        assert_eq!(path_of(&Method::GET, "/v1/apps/web"), ("/v1/apps/{app}", vec!["web".into()]));
        let (path, segments) = path_of(&Method::PUT, "/v1/apps/a%2Fb/secrets/K");
        assert_eq!((path, segments), ("/v1/apps/{app}/secrets/{key}", vec!["a/b".into(), "K".into()]));
        assert_eq!(path_of(&Method::POST, "/v1/secrets/rotate").0, "/v1/secrets/rotate");
        assert_eq!(path_of(&Method::PUT, "/v1/secrets/rotate").0, "/v1/secrets/{key}");
        assert_eq!(path_of(&Method::POST, "/v1/images/prune").0, "/v1/images/prune");
        for nothing in ["/", "/v1", "/v1/apps/", "/v2/status", "/v1/apps/a/b/c/d", "/v1/apps/%"] {
            assert_eq!(path_of(&Method::GET, nothing).0, "nothing", "{nothing}");
        }
        assert_eq!(path_of(&Method::PUT, "/v1/status").0, "other");
    }
}
