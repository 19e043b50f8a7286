//! What a controller is known by: its CA and server certificate, and the key that it signs with. All of it is made at
//! the first start and kept under `keys/`.

use std::{fs, net::SocketAddr, path::Path};

use aegis_wire::{
    CaFingerprint, Endpoint, ServerSigningKey, SigningKey,
    tls::{Authority, CertificateError, CertificateFacts, ServerIdentity, TlsConfig},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    RunError,
    config::TlsFiles,
    files::{private_directory, read_if_there, write_private},
};

/// A certificate that ends within this time is replaced at start.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How the controller proves who it is.
#[derive(Debug)]
pub(crate) struct Identity {
    pub tls: TlsConfig,
    pub ca: CaFingerprint,
    pub signing: ServerSigningKey,
}

/// Loads or makes it. `names` are the host names and addresses that the server certificate must be good for.
pub(crate) fn load_or_make(
    data: &Path,
    own: Option<&TlsFiles>,
    names: &[String],
    now: Timestamp,
) -> Result<Identity, RunError> {
    let keys = data.join("keys");
    private_directory(&keys).map_err(|error| RunError::io(&keys, &error))?;
    let signing = signing_key(&keys)?;
    let server = match own {
        Some(files) => {
            let read = |path: &Path| fs::read_to_string(path).map_err(|error| RunError::io(path, &error));
            ServerIdentity::from_pem(&read(&files.certificate)?, &read(&files.key)?)?
        }
        None => own_certificate(&keys, names, now)?,
    };
    let ca = server.ca_fingerprint().ok_or(CertificateError::NoCa)?;
    Ok(Identity { tls: TlsConfig::new(server)?, ca, signing })
}

/// The names under which a controller is reached: its public endpoint's host, where it listens, and this machine.
pub(crate) fn names(public: Option<&Endpoint>, listen: SocketAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !listen.ip().is_unspecified() {
        names.push(listen.ip().to_string());
    }
    names.extend(public.map(|endpoint| endpoint.host().to_owned()));
    names.sort();
    names.dedup();
    names
}

fn signing_key(keys: &Path) -> Result<ServerSigningKey, RunError> {
    let path = keys.join("signing.key");
    if let Some(seed) = read_if_there(&path).map_err(|error| RunError::io(&path, &error))? {
        let key = SigningKey::from_bytes(&seed).map_err(|error| RunError::damaged(&path, &error))?;
        return Ok(ServerSigningKey::new(key));
    }
    let key = SigningKey::generate().map_err(|error| RunError::damaged(&path, &error))?;
    write_private(&path, &*key.seed()).map_err(|error| RunError::io(&path, &error))?;
    Ok(ServerSigningKey::new(key))
}

fn own_certificate(keys: &Path, names: &[String], now: Timestamp) -> Result<ServerIdentity, RunError> {
    let text = |name: &str| -> Result<Option<String>, RunError> {
        let path = keys.join(name);
        let content = read_if_there(&path).map_err(|error| RunError::io(&path, &error))?;
        content
            .map(|bytes| String::from_utf8(bytes).map_err(|error| RunError::damaged(&path, &error)))
            .transpose()
    };
    let write = |name: &str, content: &str| {
        let path = keys.join(name);
        write_private(&path, content.as_bytes()).map_err(|error| RunError::io(&path, &error))
    };
    // The key is written first: a CA certificate is there only when its key is.
    let authority = match (text("ca.pem")?, text("ca.key")?) {
        (Some(certificate), Some(key)) => Authority::from_pem(&certificate, &key)?,
        (Some(_), None) => {
            return Err(RunError::damaged(&keys.join("ca.key"), &"it is missing, and ca.pem is there"));
        }
        (None, _) => {
            let authority = Authority::generate("aegis controller CA", now)?;
            write("ca.key", &authority.key_pem())?;
            write("ca.pem", authority.certificate_pem())?;
            authority
        }
    };
    if let (Some(chain), Some(key)) = (text("server.pem")?, text("server.key")?) {
        let current = CertificateFacts::from_pem(&chain)
            .is_ok_and(|facts| facts.names == names && facts.not_after.duration_since(now) > RENEW_BEFORE);
        if let (true, Ok(identity)) = (current, ServerIdentity::from_pem(&chain, &key))
            && identity.ca_fingerprint() == Some(authority.fingerprint())
        {
            return Ok(identity);
        }
    }
    let issued = authority.issue(names, now)?;
    // After a crash between the two, key and chain don't fit; the check of the next start is the TLS library's, so
    // the chain goes first and comes back last.
    let chain = keys.join("server.pem");
    if chain.exists() {
        fs::remove_file(&chain).map_err(|error| RunError::io(&chain, &error))?;
    }
    write("server.key", &issued.key_pem)?;
    write("server.pem", &issued.chain_pem)?;
    Ok(ServerIdentity::from_pem(&issued.chain_pem, &issued.key_pem)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_second_start_finds_the_same_identity() {
        let directory = tempfile::tempdir().unwrap();
        let names = names(None, "127.0.0.1:0".parse().unwrap());
        let first = load_or_make(directory.path(), None, &names, now()).unwrap();
        let pem = || fs::read_to_string(directory.path().join("keys/server.pem")).unwrap();
        let before = pem();
        let second = load_or_make(directory.path(), None, &names, now()).unwrap();
        assert_eq!(first.ca, second.ca);
        assert_eq!(first.signing.public(), second.signing.public());
        assert_eq!(before, pem(), "the certificate is kept too");
        for entry in fs::read_dir(directory.path().join("keys")).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(
                entry.metadata().unwrap().permissions().mode() & 0o777,
                0o600,
                "{:?}",
                entry.file_name()
            );
        }
    }

    #[test]
    fn other_names_or_a_near_end_bring_a_new_certificate_of_the_same_ca() {
        let directory = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let facts = || {
            let text = fs::read_to_string(directory.path().join("keys/server.pem")).unwrap();
            CertificateFacts::from_pem(&text).unwrap()
        };
        let first = load_or_make(directory.path(), None, &names(None, listen), now()).unwrap();
        assert_eq!(facts().names, ["127.0.0.1", "::1", "localhost"]);
        let public: Endpoint = "fleet.example:1".parse().unwrap();
        let second = load_or_make(directory.path(), None, &names(Some(&public), listen), now()).unwrap();
        assert_eq!(facts().names, ["127.0.0.1", "::1", "fleet.example", "localhost"]);
        assert_eq!(first.ca, second.ca);
        let end = facts().not_after;
        let later = end.checked_sub(SignedDuration::from_hours(29 * 24)).unwrap();
        load_or_make(directory.path(), None, &names(Some(&public), listen), later).unwrap();
        assert!(facts().not_after > end);
    }

    #[test]
    fn a_ca_without_its_key_is_refused_and_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let names = names(None, "127.0.0.1:0".parse().unwrap());
        load_or_make(directory.path(), None, &names, now()).unwrap();
        fs::remove_file(directory.path().join("keys/ca.key")).unwrap();
        let error = load_or_make(directory.path(), None, &names, now()).unwrap_err();
        assert!(error.to_string().contains("ca.key"), "{error}");
    }

    #[test]
    fn certificates_of_the_operator_are_used() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::generate("theirs", now()).unwrap();
        let issued = authority.issue(&["localhost".to_owned()], now()).unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("c.pem"), &issued.chain_pem).unwrap();
        fs::write(path("c.key"), &issued.key_pem).unwrap();
        let files = TlsFiles { certificate: path("c.pem"), key: path("c.key") };
        let identity = load_or_make(directory.path(), Some(&files), &[], now()).unwrap();
        assert_eq!(identity.ca, authority.fingerprint());
        assert!(!path("keys/ca.pem").exists());
    }
}
