//! `--expose`: ports of a guest.

use aegis_wire::runtime::Expose;

/// `GUEST`, or `HOST:GUEST` for a port of the host's that is chosen.
pub fn expose(text: &str) -> Result<Expose, String> {
    let port = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|port| *port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or_else(|| format!("'{text}' is no port; write 80, or 8080:80 for port 8080 of this machine"))
    };
    match text.split_once(':') {
        Some((host, guest)) => Ok(Expose { guest: port(guest)?, host: Some(port(host)?) }),
        None => Ok(Expose { guest: port(text)?, host: None }),
    }
}

/// As a list: `80, 443`.
pub fn ports(ports: impl IntoIterator<Item = u16>) -> String {
    ports.into_iter().map(|port| port.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_they_are_written() {
        assert_eq!(expose("80").unwrap(), Expose { guest: 80, host: None });
        assert_eq!(expose("8080:80").unwrap(), Expose { guest: 80, host: Some(8080) });
        for wrong in ["", "0", "65536", "-1", "+80", "80:", ":80", "a", "1:2:3", "80/tcp", " 80"] {
            assert!(expose(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ports([80, 443]), "80, 443");
    }
}
