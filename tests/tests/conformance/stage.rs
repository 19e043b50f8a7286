//! What the scenarios of a backend share: a daemon that uses it, and images in a registry.

use std::{
    thread,
    time::{Duration, Instant},
};

use aegis_tests::{
    SOON,
    runtime::{
        Runtime,
        image::{Image, Layer},
        registry::Registry,
    },
};
use serde_json::{Value, json};

/// A daemon whose backend is the one that is looked at.
pub struct Stage<'a> {
    pub backend: String,
    pub runtime: Runtime,
    pub registry: &'a Registry,
    /// An image with a page for `httpd -f -p 80 -h /srv`.
    pub web: String,
}

/// Thrown by a scenario that doesn't fit its backend.
pub struct Skipped(pub String);

impl<'a> Stage<'a> {
    pub fn new(backend: &str, registry: &'a Registry) -> Self {
        let web = registry.push("test/web:1", &site("one"));
        let runtime = Runtime::start(&config(backend, ""));
        Self { backend: backend.to_owned(), runtime, registry, web }
    }

    /// A daemon of the scenario's own, with more config.
    pub fn own(&self, more: &str) -> Runtime {
        Runtime::start(&config(&self.backend, more))
    }

    /// Whether its guests are virtual machines.
    pub fn is_vm(&self) -> bool {
        self.runtime.status()["capabilities"]["is_vm"] == true
    }

    /// Ends the scenario unless the backend can do this.
    pub fn needs(&self, capability: &str) {
        if self.runtime.status()["capabilities"][capability] != true {
            skip(&format!("{} has no {capability}", self.backend));
        }
    }
}

/// Ends a scenario that can't be played here.
pub fn skip(why: &str) -> ! {
    std::panic::resume_unwind(Box::new(Skipped(why.to_owned())))
}

fn config(backend: &str, more: &str) -> String {
    format!("backend: {backend}\n{more}\n")
}

/// An image with a page that says `text`.
pub fn site(text: &str) -> Image {
    Image::base().layer(&Layer::new().folder("srv").file("srv/index.html", 0o644, format!("{text}\n")))
}

/// Serves [`site`]s.
pub const HTTPD: [&str; 6] = ["httpd", "-f", "-p", "80", "-h", "/srv"];

/// An instance that is deleted in the end.
pub struct Guest<'a> {
    pub id: String,
    runtime: &'a Runtime,
}

impl<'a> Guest<'a> {
    /// Starts one that runs `command`, and waits until it runs.
    #[track_caller]
    pub fn start(runtime: &'a Runtime, command: &[&str], more: Value) -> Self {
        let guest = Self::begin(runtime, command, more);
        runtime.wait_for(&guest.id, "running");
        guest
    }

    /// Starts one, and doesn't wait.
    #[track_caller]
    pub fn begin(runtime: &'a Runtime, command: &[&str], more: Value) -> Self {
        let mut body = json!({"command": command});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        let made = runtime.post("/v1/instances", &body).expect(201).json();
        Self { id: made["id"].as_str().expect("an id").to_owned(), runtime }
    }

    /// Runs a shell's line in it and gives what it prints.
    #[track_caller]
    pub fn says(&self, line: &str) -> String {
        self.runtime.exec(&self.id, line).ok().stdout.trim().to_owned()
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        let socket = self.runtime.home().join("aegisd.sock");
        let path = format!("/v1/instances/{}", self.id);
        let _ = aegis_tests::runtime::http::Request::new("DELETE", &path).send_to(&socket);
    }
}

/// An app that is deleted in the end.
pub struct App<'a> {
    pub name: String,
    runtime: &'a Runtime,
}

impl<'a> App<'a> {
    /// Creates it.
    #[track_caller]
    pub fn create(runtime: &'a Runtime, name: &str, image: &str, command: &[&str], more: Value) -> Self {
        let mut body = json!({"name": name, "image": image, "command": command, "expose": [{"guest": 80}]});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        let _ = runtime.post("/v1/apps", &body).expect(201);
        Self { name: name.to_owned(), runtime }
    }

    /// Creates one that serves the page of `image`, and publishes it.
    #[track_caller]
    pub fn web(runtime: &'a Runtime, name: &str, image: &str) -> Self {
        let app = Self::create(runtime, name, image, &HTTPD, json!({}));
        app.publish();
        app
    }

    /// Publishes it. Gives the release.
    #[track_caller]
    pub fn publish(&self) -> Value {
        self.runtime.post(&format!("/v1/apps/{}/publish", self.name), &json!({})).expect(201).json()
    }

    /// Serves it, and waits until it is ready. Gives the instance's id.
    #[track_caller]
    pub fn serve(&self) -> String {
        let answer = self.runtime.post(&format!("/v1/apps/{}/serve", self.name), &json!({"wait": true}));
        assert!([200, 201].contains(&answer.status), "{}: {}", answer.status, answer.text());
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until `GET /` says `text`.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        let end = Instant::now() + SOON;
        loop {
            let page = self.runtime.page(&self.name);
            if page.text().contains(text) {
                return;
            }
            if Instant::now() >= end {
                let (status, said, live) = (page.status, page.text(), self.runtime.live(&self.name));
                let info = self.runtime.run(&format!("app info {}", self.name)).stdout;
                panic!("{} shows, instead of {text}: {status} {said}{live:#?}\n{info}", self.name);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for App<'_> {
    fn drop(&mut self) {
        let socket = self.runtime.home().join("aegisd.sock");
        let path = format!("/v1/apps/{}", self.name);
        let _ = aegis_tests::runtime::http::Request::new("DELETE", &path).send_to(&socket);
    }
}
