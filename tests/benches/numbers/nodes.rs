//! Simulated hosts: real keys, enrolled through the real calls with a real enrolment token each.

use std::{sync::Arc, time::Instant};

use aegis_core::NodeId;
use aegis_wire::{
    ServerKey, SigningKey,
    edge::Capabilities,
    enrollment::{AttestRequest, ChallengeRequest, Credential, EnrollmentClient, prove},
    operator::{CreateEnrollmentToken, OperatorClient},
};
use futures::{StreamExt, stream};

use crate::controller::Controller;

/// An enrolled host.
pub struct Node {
    pub key: SigningKey,
    pub id: NodeId,
    pub token: String,
    pub server_key: ServerKey,
}

/// How many enrolments are under way at once.
const AT_ONCE: usize = 128;
/// How many connections they share.
const CONNECTIONS: usize = 4;

/// The name of a host.
pub fn name(index: usize) -> String {
    format!("sim-{index:05}")
}

/// What a host says of itself.
pub fn capabilities(index: usize) -> Capabilities {
    Capabilities {
        hostname: name(index),
        os: "linux".into(),
        arch: "x86_64".into(),
        local_tools: ["docker", "git", "shell", "systemctl"].map(String::from).into(),
        labels: [("region".to_owned(), format!("eu-{}", index % 7))].into(),
        version: "0.1.0".into(),
        tools: vec![],
    }
}

/// Enrols `count` hosts, in the order of their names.
pub async fn enroll(controller: &Controller, count: usize) -> Vec<Arc<Node>> {
    let operator = controller.operator().await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(EnrollmentClient::new(controller.channel().await));
    }
    let start = Instant::now();
    let enrolments = (0..count).map(|index| {
        let (operator, client) = (operator.clone(), clients[index % CONNECTIONS].clone());
        async move { tokio::spawn(enroll_one(index, operator, client)).await.unwrap() }
    });
    let nodes = stream::iter(enrolments).buffered(AT_ONCE).collect().await;
    println!("enrolled {count} hosts in {:.1} s", start.elapsed().as_secs_f64());
    nodes
}

async fn enroll_one(index: usize, operator: OperatorClient, mut client: EnrollmentClient) -> Arc<Node> {
    let wish = CreateEnrollmentToken { label: name(index), tenant: None, ttl_seconds: None };
    let token = operator.create_enrollment_token(wish).await.unwrap().token;
    let key = SigningKey::generate().unwrap();
    let capabilities = capabilities(index);
    let attest = AttestRequest { public_key: key.public(), capabilities: capabilities.clone() };
    let nonce = client.attest(attest).await.unwrap();
    let credential = Credential::Enrollment(token);
    let signature = prove(&key, &credential, &nonce);
    let challenge = ChallengeRequest { public_key: key.public(), nonce, signature, credential, capabilities };
    let enrolled = client.challenge(challenge).await.unwrap();
    Arc::new(Node { key, id: enrolled.node_id, token: enrolled.node_token, server_key: enrolled.server_key })
}
