//! Network devices by `ioctl`: what a program of a megabyte needs of them, without netlink.

#![expect(unsafe_code, reason = "there are no safe wrappers")]

use std::{
    io, mem,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd},
};

use crate::sys::check;

/// Makes `fd`, which is `/dev/net/tun`, a device for IP packets without a header of its own.
pub fn make_tun(fd: impl AsFd, name: &str) -> io::Result<()> {
    let mut request = named(name);
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI).unwrap_or(0x1001);
    call(fd, libc::TUNSETIFF, &mut request)
}

/// Lets a device send and receive.
pub fn raise(socket: impl AsFd, name: &str) -> io::Result<()> {
    let mut request = named(name);
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(0x41);
    call(socket, libc::SIOCSIFFLAGS, &mut request)
}

/// Sets the largest packet.
pub fn set_mtu(socket: impl AsFd, name: &str, mtu: u32) -> io::Result<()> {
    let mut request = named(name);
    request.ifr_ifru.ifru_mtu = libc::c_int::try_from(mtu).map_err(io::Error::other)?;
    call(socket, libc::SIOCSIFMTU, &mut request)
}

/// Sets a device's address and network.
pub fn set_address(socket: impl AsFd, name: &str, address: Ipv4Addr, mask: Ipv4Addr) -> io::Result<()> {
    let mut request = named(name);
    request.ifr_ifru.ifru_addr = socket_address(address);
    call(&socket, libc::SIOCSIFADDR, &mut request)?;
    request.ifr_ifru.ifru_netmask = socket_address(mask);
    call(&socket, libc::SIOCSIFNETMASK, &mut request)
}

/// Sends everything that isn't for a network of the guest's own to `gateway`.
pub fn add_default_route(socket: impl AsFd, gateway: Ipv4Addr) -> io::Result<()> {
    // SAFETY: all zeros are a valid `rtentry`: numbers and null pointers.
    let mut route: libc::rtentry = unsafe { mem::zeroed() };
    route.rt_dst = socket_address(Ipv4Addr::UNSPECIFIED);
    route.rt_genmask = socket_address(Ipv4Addr::UNSPECIFIED);
    route.rt_gateway = socket_address(gateway);
    route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    call(socket, libc::SIOCADDRT, &mut route)
}

fn named(name: &str) -> libc::ifreq {
    // SAFETY: all zeros are a valid `ifreq`: an empty name and a union of numbers.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte stays zero.
    for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let mut data = [0; 14];
    // A port of two bytes, then the address.
    for (to, from) in data[2..6].iter_mut().zip(address.octets()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    libc::sockaddr { sa_family: libc::sa_family_t::try_from(libc::AF_INET).unwrap_or(2), sa_data: data }
}

fn call<T>(fd: impl AsFd, request: libc::Ioctl, argument: &mut T) -> io::Result<()> {
    // SAFETY: `argument` is the structure that each of the requests above takes, and outlives the call.
    check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, std::ptr::from_mut(argument)) }).map(drop)
}
