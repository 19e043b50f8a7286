//! The table of built-in tools.

use std::{sync::OnceLock, time::Duration};

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::Value;

use super::{ArgumentError, Checker, SHELL, ToolClass, ToolDescriptor, arguments as a};

/// A tool that every host has, as far as the programs that it needs are there.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// `family.name`.
    pub name: &'static str,
    /// One line: what it does.
    pub summary: &'static str,
    /// Whether it changes anything.
    pub class: ToolClass,
    /// Whether it may be run on many hosts at once.
    pub fleet_capable: bool,
    /// How long it may take where the caller doesn't say so; none: what a run has by default.
    pub timeout: Option<Duration>,
    /// The host must have one of these local tools; empty: it needs none.
    pub needs: &'static [&'static str],
    schema: fn() -> Schema,
}

const LOOKS: ToolClass = ToolClass::ReadOnly;
const CHANGES: ToolClass = ToolClass::StateMutating;
const SERVICES: &[&str] = &["systemctl", "service"];
const DOCKER: &[&str] = &["docker"];
const KUBECTL: &[&str] = &["kubectl"];
/// Images and workloads take their time to come.
const SLOW: Duration = Duration::from_mins(10);

/// Every built-in tool.
pub const BUILTINS: &[Builtin] = &[
    tool::<a::Run>("cmd.run", CHANGES, "runs a program, or a command line through a shell"),
    tool::<a::Shell>("shell", CHANGES, "runs a script through a shell").needs(&[SHELL]),
    tool::<a::FsRead>("fs.read", LOOKS, "reads a file, or a part of it"),
    tool::<a::FsList>("fs.list", LOOKS, "lists a directory"),
    tool::<a::FsGlob>("fs.glob", LOOKS, "finds files by their names"),
    tool::<a::FsGrep>("fs.grep", LOOKS, "finds lines in files by a regular expression"),
    tool::<a::FsWrite>("fs.write", CHANGES, "writes a file as a whole"),
    tool::<a::FsEdit>("fs.edit", CHANGES, "replaces text in a file"),
    tool::<a::FsCreateDir>("fs.create_dir", CHANGES, "makes a directory"),
    tool::<a::FsDelete>("fs.delete", CHANGES, "removes a file or a directory"),
    tool::<a::Service>("service.status", LOOKS, "says whether a service runs").needs(SERVICES),
    tool::<a::Service>("service.start", CHANGES, "starts a service").needs(SERVICES),
    tool::<a::Service>("service.stop", CHANGES, "stops a service").needs(SERVICES),
    tool::<a::Service>("service.restart", CHANGES, "restarts a service").needs(SERVICES),
    tool::<a::DockerPs>("docker.ps", LOOKS, "lists containers").needs(DOCKER),
    tool::<a::Nothing>("docker.images", LOOKS, "lists images").needs(DOCKER),
    tool::<a::DockerLogs>("docker.logs", LOOKS, "shows what a container printed").needs(DOCKER),
    tool::<a::DockerInspect>("docker.inspect", LOOKS, "describes a container or an image").needs(DOCKER),
    tool::<a::DockerContainer>("docker.start", CHANGES, "starts a container").needs(DOCKER),
    tool::<a::DockerContainer>("docker.stop", CHANGES, "stops a container").needs(DOCKER),
    tool::<a::DockerContainer>("docker.restart", CHANGES, "restarts a container").needs(DOCKER),
    tool::<a::DockerExec>("docker.exec", CHANGES, "runs a program in a container").needs(DOCKER).one_host(),
    tool::<a::DockerPull>("docker.pull", CHANGES, "fetches an image").needs(DOCKER).takes(SLOW),
    tool::<a::DockerRun>("docker.run", CHANGES, "runs a new container").needs(DOCKER).takes(SLOW),
    tool::<a::KubectlGet>("kubectl.get", LOOKS, "lists objects of a cluster").needs(KUBECTL),
    tool::<a::KubectlObject>("kubectl.describe", LOOKS, "describes an object of a cluster").needs(KUBECTL),
    tool::<a::KubectlLogs>("kubectl.logs", LOOKS, "shows what a pod printed").needs(KUBECTL),
    tool::<a::KubectlApply>("kubectl.apply", CHANGES, "applies a manifest to a cluster").needs(KUBECTL),
    tool::<a::KubectlDelete>("kubectl.delete", CHANGES, "deletes an object of a cluster").needs(KUBECTL),
    tool::<a::KubectlRollout>("kubectl.rollout", CHANGES, "follows, restarts or undoes a cluster's rollout")
        .needs(KUBECTL)
        .takes(SLOW),
    tool::<a::Nothing>("host.facts", LOOKS, "says what the host is: system, processors, memory, load"),
    tool::<a::KeysRotate>("edge.keys.rotate", CHANGES, "gives the daemon a new key"),
];

/// The built-in tool of this name.
pub fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|tool| tool.name == name)
}

const fn tool<T: JsonSchema>(name: &'static str, class: ToolClass, summary: &'static str) -> Builtin {
    Builtin { name, summary, class, fleet_capable: true, timeout: None, needs: &[], schema: schema_of::<T> }
}

impl Builtin {
    const fn needs(mut self, needs: &'static [&'static str]) -> Self {
        self.needs = needs;
        self
    }
    const fn takes(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
    /// A container's name means something else on each host.
    const fn one_host(mut self) -> Self {
        self.fleet_capable = false;
        self
    }

    /// The JSON Schema of its arguments, from the type that the daemon reads them into.
    pub fn parameters(&self) -> Value {
        self.checker().map_or_else(|| self.schema(), |checker| checker.parameters().clone())
    }

    /// Whether the arguments are as the schema says; see [`Checker::check`].
    pub fn check(&self, arguments: &Value) -> Result<(), ArgumentError> {
        match self.checker() {
            Some(checker) => checker.check(arguments),
            None => Checker::new(self.schema())?.check(arguments),
        }
    }

    /// Its schema, compiled once in a process. A test compiles all of them, so there is always one.
    pub(super) fn checker(&self) -> Option<&'static Checker> {
        static CHECKERS: [OnceLock<Option<Checker>>; BUILTINS.len()] =
            [const { OnceLock::new() }; BUILTINS.len()];
        let place = BUILTINS.iter().position(|tool| tool.name == self.name)?;
        CHECKERS.get(place)?.get_or_init(|| Checker::new(self.schema()).ok()).as_ref()
    }

    fn schema(&self) -> Value {
        let mut schema = (self.schema)();
        schema.insert("title".to_owned(), self.name.into());
        schema.to_value()
    }

    /// What a host says of it.
    pub fn descriptor(&self) -> ToolDescriptor {
        ToolDescriptor {
            name: self.name.to_owned(),
            summary: self.summary.to_owned(),
            class: self.class,
            fleet_capable: self.fleet_capable,
            timeout: self.timeout,
            parameters: self.parameters(),
        }
    }
}

fn schema_of<T: JsonSchema>() -> Schema {
    let mut settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(simplify));
    // What stands once in a schema needs no pointer, and pointers aren't allowed to owners' tools either.
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator().into_root_schema_for::<T>()
}

/// An argument that isn't wanted is left out, so null isn't offered; words are a plain list, which a message can name.
fn simplify(schema: &mut Schema) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    // What is optional and has a shape of its own: the shape, or null.
    if let Some(Value::Array(either)) = schema.get_mut("anyOf") {
        either.retain(|one| one.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = either.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            for (keyword, value) in only {
                schema.ensure_object().entry(keyword).or_insert(value);
            }
        }
    }
    let words = |one: &Value| one.get("const").cloned();
    if let Some(words) = schema
        .get("oneOf")
        .and_then(Value::as_array)
        .and_then(|all| all.iter().map(words).collect::<Option<Vec<_>>>())
    {
        schema.remove("oneOf");
        schema.insert("type".to_owned(), "string".into());
        schema.insert("enum".to_owned(), words.into());
    }
}
