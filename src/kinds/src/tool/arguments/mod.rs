//! The arguments of the built-in tools: one type a shape. The daemon reads arguments into them, and their comments are
//! the descriptions in the tools' schemas. What is optional is left out, not null.

mod cluster;
mod container;
mod file;
mod process;

pub use cluster::{
    KubectlApply, KubectlDelete, KubectlGet, KubectlLogs, KubectlObject, KubectlOutput, KubectlRollout,
    RolloutAction,
};
pub use container::{
    DockerContainer, DockerExec, DockerInspect, DockerLogs, DockerPs, DockerPull, DockerRun,
};
pub use file::{
    Encoding, FsCreateDir, FsDelete, FsEdit, FsGlob, FsGrep, FsList, FsRead, FsWrite, LARGEST_READ,
    MOST_ENTRIES,
};
pub use process::{KeysRotate, Nothing, Run, Service, Shell};
