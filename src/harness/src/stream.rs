//! Numbers of streams. The host chooses the number of each process and each connection; a number is used once.

/// How many bytes of a stream may be under way before the receiver grants more.
pub const WINDOW: u32 = 256 * 1024;

/// Packets of the guest's network, one IP packet a data frame, without credit: what there is no room for is dropped, as
/// on any network.
pub const NETWORK: u32 = 3;

/// The process that makes an instance what it is.
pub const MAIN: u32 = 1;

/// The standard input of a process.
pub const fn stdin(process: u32) -> u32 {
    process << 2
}
/// The standard output of a process; with a terminal, all that it shows.
pub const fn stdout(process: u32) -> u32 {
    process << 2 | 1
}
/// The standard error of a process.
pub const fn stderr(process: u32) -> u32 {
    process << 2 | 2
}
/// A connection to a port of the guest, both directions.
pub const fn connection(number: u32) -> u32 {
    number << 2 | 3
}
