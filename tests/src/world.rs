//! A controller, its hosts and an operator, in one temporary directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    controller::Controller,
    daemon::Daemon,
    output::Output,
    program::Program,
    wait::{SOON, eventually},
};

/// One test's world.
#[derive(Debug)]
pub struct World {
    // Processes go before the directory that they work in.
    /// The controller, while it runs.
    pub controller: Option<Controller>,
    directory: TempDir,
}

impl World {
    /// With a controller that has nothing but the tenant `default`.
    #[track_caller]
    pub fn new() -> Self {
        let mut world = Self::without_controller();
        world.controller = Some(Controller::start(&world.program(), &world.data()));
        world
    }

    /// A world in which nothing runs yet.
    pub fn without_controller() -> Self {
        Self { controller: None, directory: tempfile::tempdir().unwrap() }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The controller's data directory.
    pub fn data(&self) -> PathBuf {
        self.path().join("controller")
    }

    /// `aegis` without a context.
    pub fn program(&self) -> Program {
        Program::new(self.path())
    }

    /// `aegis` as the administrator calls it.
    pub fn admin(&self) -> Program {
        self.program().env("AEGIS_CONTEXT", self.data().join("admin-context.yaml"))
    }

    /// `aegis` as somebody with a token of this tenant and role calls it.
    #[track_caller]
    pub fn user(&self, tenant: &str, role: &str) -> Program {
        let line = format!("controller token create --tenant {tenant} --role {role} --ttl 1h -o json");
        let token = self.run(&line).ok().json();
        self.admin().env("AEGIS_USER_TOKEN", token["token"].as_str().unwrap())
    }

    /// Runs a command line as the administrator.
    #[track_caller]
    pub fn run(&self, line: &str) -> Output {
        self.admin().run(line)
    }

    /// Writes a file below the world's directory.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// An enrolment token.
    #[track_caller]
    pub fn token(&self, label: &str) -> String {
        let line = format!("controller enrollment-token create --label {label} --output json");
        self.run(&line).ok().json()["token"].as_str().unwrap().to_owned()
    }

    /// The config file of a host of this name.
    pub fn config(&self, name: &str) -> PathBuf {
        self.path().join("hosts").join(name).join("aegis-config.yaml")
    }

    /// Enrols a host. Gives its node id.
    #[track_caller]
    pub fn enroll(&self, name: &str) -> String {
        let (token, config) = (self.token(name), self.config(name));
        let line = format!("edge enroll {token} --config {} --force --no-service -o json", config.display());
        self.program().run(&line).ok().json()["node_id"].as_str().unwrap().to_owned()
    }

    /// Starts the daemon of an enrolled host and waits until it is connected.
    #[track_caller]
    pub fn connect(&self, name: &str) -> Daemon {
        let mut daemon = Daemon::start(&self.program(), &self.config(name));
        daemon.wait_for("Connected");
        daemon
    }

    /// Enrols a host and connects it.
    #[track_caller]
    pub fn host(&self, name: &str) -> Daemon {
        self.enroll(name);
        self.connect(name)
    }

    /// What `edge ls` says of the host of this name.
    #[track_caller]
    pub fn node(&self, name: &str) -> Value {
        let nodes = self.run("edge ls --output json").ok().array();
        nodes
            .into_iter()
            .find(|node| node["name"] == name)
            .unwrap_or_else(|| panic!("no host is called {name}"))
    }

    /// Waits until `edge ls` says something of the host of this name.
    #[track_caller]
    pub fn wait_for_node(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{name}: {what}"), SOON, || Some(self.node(name)).filter(&is))
    }

    /// Stops the controller.
    #[track_caller]
    pub fn stop_controller(&mut self) -> Output {
        self.controller.take().expect("a controller runs").stop()
    }

    /// Kills the controller and starts it again where it was.
    #[track_caller]
    pub fn crash_controller(&mut self) {
        let controller = self.controller.take().expect("a controller runs");
        let address = controller.address().to_string();
        controller.kill();
        self.controller = Some(Controller::start_on(&self.program(), &self.data(), &address, ""));
    }

    /// The audit log, oldest first.
    #[track_caller]
    pub fn audit(&self) -> Vec<Value> {
        self.run("controller audit ls --limit 10000 -o json").ok().array()
    }

    /// Waits until the audit log fits: comings, goings and refusals are written together, a moment later.
    #[track_caller]
    pub fn wait_for_audit(&self, what: &str, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually(&format!("in the audit log: {what}"), SOON, || {
            Some(self.audit()).filter(|audit| fits(audit))
        })
    }

    /// The audit chain is whole.
    #[track_caller]
    pub fn audit_is_intact(&self) {
        assert_eq!(self.run("controller audit verify -o json").ok().json()["intact"], true);
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
