//! The HTTP API of `aegisd`: the bodies that both ends speak, and its errors. JSON over a Unix socket; `docs/reference/aegisd-openapi.json`
//! is made from these types.

mod app;
mod client;
mod connection;
mod error;
mod instance;
pub mod realm;
mod record;
mod records_client;
mod status;
mod task;

pub use app::{
    App, CreateApp, Image, Kit, Pruned, Publish, PutSecret, Release, Rollback, Rotated, SecretNames,
    UpdateApp,
};
pub use client::{LogQuery, RuntimeClient};
pub use error::{ErrorBody, ErrorDetail, RuntimeError};
pub use instance::{CreateInstance, Endpoint, Exec, ExecInput, Expose, Instance, InstanceState, Serve};
pub use record::{LogRecord, Record, Source, StreamName};
pub use records_client::{ExecSender, Records};
pub use status::{BackendStatus, Capabilities, Status};
pub use task::{CreateTask, RunOptions, Task, TaskState};
