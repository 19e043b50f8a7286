//! A controller process.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    output::Output,
    process::Process,
    program::Program,
    wait::{SOON, eventually},
};

/// A running controller.
#[derive(Debug)]
pub struct Controller {
    process: Process,
    data: PathBuf,
    address: SocketAddr,
}

impl Controller {
    /// Starts one on a free port, with its data in `data`, and waits until it says that it is ready.
    #[track_caller]
    pub fn start(program: &Program, data: &Path) -> Self {
        Self::start_on(program, data, "127.0.0.1:0", "")
    }

    /// As [`Controller::start`], on this address and with more flags.
    #[track_caller]
    pub fn start_on(program: &Program, data: &Path, listen: &str, flags: &str) -> Self {
        // The limit protects from strangers; here one address enrols everybody.
        let config = data.with_extension("yaml");
        std::fs::write(&config, "enrollment: {ratePerSecond: 1000, burst: 1000}\n").unwrap();
        let (shown, config) = (data.display(), config.display());
        let line = format!("controller run --data-dir {shown} --listen {listen} --config {config} {flags}");
        let mut process = program.start(&line);
        let address = eventually("the controller is ready", SOON, || {
            let ended = process.ended();
            assert!(ended.is_none(), "the controller ended ({ended:?}): {}", process.stderr());
            let said = process.stdout();
            let line = said.split_inclusive('\n').find(|line| line.ends_with('\n'))?;
            Some(line.trim().strip_prefix("controller ready on ").expect(line).parse().expect(line))
        });
        Self { process, data: data.to_owned(), address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it keeps everything.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its administrator's context.
    pub fn context(&self) -> PathBuf {
        self.data.join("admin-context.yaml")
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// SIGTERM, and its end.
    #[track_caller]
    pub fn stop(self) -> Output {
        self.process.terminate()
    }

    /// SIGKILL, and its end.
    #[track_caller]
    pub fn kill(self) -> Output {
        self.process.kill()
    }

    /// Its end, which something else brings about.
    #[track_caller]
    pub fn wait(self) -> Output {
        self.process.wait()
    }
}
