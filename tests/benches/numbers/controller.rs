//! A real controller: the release program, on loopback, with its data in a folder of its own.

use std::{fs, path::Path, sync::Arc};

use aegis_wire::{
    CaFingerprint, Endpoint,
    dial::{Channel, TcpDialer, connect},
    operator::OperatorClient,
};
use serde::Deserialize;

use crate::child::{self, Process, Server};

/// A controller that runs, and how to reach it.
pub struct Controller {
    server: Server,
    context: Context,
}

/// What is needed of its `admin-context.yaml`.
#[derive(Deserialize)]
struct Context {
    endpoint: String,
    ca_fingerprint: String,
    token: String,
}

/// Many hosts enrol from one address here.
const CONFIG: &str = "enrollment: {ratePerSecond: 1000000, burst: 1000000}\n";

impl Controller {
    /// Starts it with its data in `folder`; what is there already it takes over.
    pub async fn start(folder: &Path) -> Self {
        let (data, config) = (folder.join("controller"), folder.join("controller.yaml"));
        fs::write(&config, CONFIG).unwrap();
        let mut command = child::command(&child::aegis(), folder);
        command.args(["controller", "run", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data);
        command.arg("--config").arg(&config);
        let server = Server::start(command, "controller ready on", &folder.join("controller.log")).await;
        let context = fs::read_to_string(data.join("admin-context.yaml")).expect("the context is there");
        Self { server, context: serde_saphyr::from_str(&context).unwrap() }
    }

    pub fn process(&self) -> Process {
        self.server.process()
    }

    pub fn endpoint(&self) -> Endpoint {
        self.context.endpoint.parse().unwrap()
    }

    pub fn pin(&self) -> CaFingerprint {
        self.context.ca_fingerprint.parse().unwrap()
    }

    /// A new connection.
    pub async fn channel(&self) -> Channel {
        connect(&self.endpoint(), &self.pin(), Arc::new(TcpDialer)).await.unwrap()
    }

    /// Its administrator.
    pub async fn operator(&self) -> OperatorClient {
        OperatorClient::new(self.channel().await, &self.context.token).unwrap()
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }
}
