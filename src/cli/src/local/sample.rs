//! Objects for tests.

use aegis_wire::runtime::{App, Expose, Instance, InstanceState, RunOptions, Task, TaskState};
use jiff::Timestamp;

/// An app with this name.
pub fn app(name: &str) -> App {
    serde_json::from_value(serde_json::json!({
        "id": "app-173f", "name": name, "image": "python:3.12-alpine",
        "command": ["python", "-m", "http.server", "80"],
        "expose": [Expose { guest: 80, host: None }],
        "serve": false, "options": RunOptions::default(), "created_at": Timestamp::UNIX_EPOCH,
    }))
    .unwrap()
}

/// An instance of that app.
pub fn instance(id: &str) -> Instance {
    serde_json::from_value(serde_json::json!({
        "id": id, "state": InstanceState::Running, "app_id": "app-173f", "app": "myapp",
        "release_id": "rel-8a4b", "command": ["python", "-m", "http.server", "80"],
        "expose_ports": [80], "endpoints": [{"guest": 80, "address": "127.0.0.1:40001"}],
        "connections": 0, "backend": "qemu",
        "created_at": "2026-02-19T10:30:00Z", "last_active_at": "2026-02-19T10:35:00Z",
    }))
    .unwrap()
}

/// A task that stands there.
pub fn task(state: TaskState, exit_code: Option<i32>) -> Task {
    serde_json::from_value(serde_json::json!({
        "id": "task-1", "state": state, "command": ["true"], "backend": "qemu",
        "exit_code": exit_code, "created_at": Timestamp::UNIX_EPOCH,
    }))
    .unwrap()
}
