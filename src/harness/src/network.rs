//! The guest's network: loopback, and a TUN device whose packets go over the control channel.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd, OwnedFd},
};

use aegis_harness::{
    frame::{Kind, MAX_DATA},
    message::Network,
    stream,
};
use rustix::{
    fs::{Mode, OFlags},
    net::{AddressFamily, SocketFlags, SocketType},
};

use crate::{
    channel::Channel,
    context::{Context, Outcome},
    device,
};

/// What the guest's programs call it.
const NAME: &str = "eth0";

/// The way out.
pub struct Tun {
    fd: OwnedFd,
    /// Packets that went either way.
    pub packets: u64,
}

/// The file that makes TUN devices, for the network namespace of whoever opens it.
pub fn open_tun() -> Outcome<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open("/dev/net/tun", flags, Mode::empty()).context("/dev/net/tun")
}

/// Makes a device that isn't configured, and goes away with its file.
pub fn make_tun(file: OwnedFd) -> Outcome<OwnedFd> {
    device::make_tun(&file, NAME).context("making eth0")?;
    // Nobody routes it, and what the kernel would ask of neighbours by itself isn't the guest's activity. A kernel without
    // IPv6 has no such file.
    let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{NAME}/disable_ipv6"), "1");
    Ok(file)
}

/// Brings loopback up.
pub fn raise_loopback() -> Outcome<()> {
    device::raise(&control_socket()?, "lo").context("lo")
}

impl Tun {
    /// Gives the device its address and the default route.
    pub fn new(fd: OwnedFd, network: &Network) -> Outcome<Self> {
        let (address, prefix) = parse(&network.address)?;
        let gateway: Ipv4Addr = network.gateway.parse().context(&network.gateway)?;
        let socket = control_socket()?;
        device::set_mtu(&socket, NAME, network.mtu).context("the mtu of eth0")?;
        device::set_address(&socket, NAME, address, mask(prefix)).context("the address of eth0")?;
        device::raise(&socket, NAME).context("eth0")?;
        device::add_default_route(&socket, gateway).context("the default route")?;
        Ok(Self { fd, packets: 0 })
    }

    /// What to poll; with no room in the channel, packets wait in the device's queue, which drops what is too much.
    pub fn wanted(&self, channel: &Channel) -> Option<&OwnedFd> {
        channel.has_room().then_some(&self.fd)
    }

    /// Sends packets of the guest to the host.
    pub fn pump(&mut self, channel: &mut Channel, buffer: &mut [u8]) {
        while channel.has_room()
            && let Ok(length) = rustix::io::read(&self.fd, &mut buffer[..MAX_DATA])
        {
            if length == 0 {
                return;
            }
            self.packets += 1;
            channel.send(Kind::Data, stream::NETWORK, &buffer[..length]);
        }
    }

    /// Takes a packet from the host. One that the device has no room for, or doesn't understand, is lost.
    pub fn take(&mut self, packet: &[u8]) {
        self.packets += 1;
        let _ = rustix::io::write(&self.fd, packet);
    }
}

/// The guest's own address, which servers may listen on alone.
pub fn own_address(network: &Network) -> Option<IpAddr> {
    parse(&network.address).ok().map(|(address, _)| address.into())
}

fn control_socket() -> Outcome<impl AsFd> {
    rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .context("a socket")
}

/// `10.0.2.15/24`.
fn parse(text: &str) -> Outcome<(Ipv4Addr, u32)> {
    let parsed = || {
        let (address, prefix) = text.split_once('/')?;
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
        Some((address.parse().ok()?, prefix))
    };
    parsed().ok_or_else(|| format!("{text}: not an address with its prefix"))
}

fn mask(prefix: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - prefix).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn addresses_come_with_their_prefix() {
        assert_eq!(parse("10.0.2.15/24").unwrap(), (Ipv4Addr::new(10, 0, 2, 15), 24));
        for wrong in ["10.0.2.15", "10.0.2.15/33", "10.0.2/24", "::1/64", "10.0.2.15/"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn masks_have_as_many_ones_as_the_prefix_says() {
        assert_eq!(mask(24), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(mask(32), Ipv4Addr::BROADCAST);
        assert_eq!(mask(0), Ipv4Addr::UNSPECIFIED);
    }
}
