//! What the system reports about the server's sockets and files, if the server runs on this machine (G11).

use std::fs;
use std::net::{IpAddr, SocketAddr};

/// States of a socket in Linux, `include/net/tcp_states.h`. CLOSE_WAIT: the peer has ended the stream and the owner
/// has not.
const CLOSE_WAIT: &str = "08";
const ESTABLISHED: &str = "01";

/// The number of the server's sockets that a client has left and the server has not closed; `None` if the system
/// does not tell.
pub(crate) fn forgotten_sockets(server: SocketAddr) -> Option<usize> {
    sockets(server, CLOSE_WAIT)
}

/// The number of the server's open connections; `None` if the system does not tell.
pub(crate) fn connected_sockets(server: SocketAddr) -> Option<usize> {
    sockets(server, ESTABLISHED)
}

fn sockets(server: SocketAddr, state: &str) -> Option<usize> {
    if !server.ip().is_loopback() {
        return None;
    }
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(fs::read_to_string);
    let texts: Vec<String> = tables.into_iter().filter_map(Result::ok).collect();
    (!texts.is_empty()).then(|| texts.iter().map(|text| count(text, &local(server), state)).sum())
}

/// A loopback address in the format of the tables: words of four bytes in the machine's byte order, the port in
/// network order. A server that listens on both has its IPv4 address at the end of an IPv6 address.
fn local(server: SocketAddr) -> String {
    let address = match server.ip() {
        IpAddr::V4(address) => format!("{:08X}", u32::from_ne_bytes(address.octets())),
        IpAddr::V6(_) => format!("{:024X}{:08X}", 0, u32::from_ne_bytes([0, 0, 0, 1])),
    };
    format!("{address}:{:04X}", server.port())
}

/// Counts the rows with this local address and state: `sl local_address rem_address st …`.
fn count(table: &str, address: &str, state: &str) -> usize {
    let is_ours = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().unwrap_or_default();
        local.ends_with(address) && fields.nth(1) == Some(state)
    };
    table.lines().skip(1).filter(is_ours).count()
}

/// The number of open files of these processes together; `None` if the system does not tell.
pub(crate) fn open_files(pids: &[u32]) -> Option<usize> {
    let count = |pid: &u32| Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count());
    let known: Vec<usize> = pids.iter().filter_map(count).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_by_local_address_and_state() {
        let table = "  sl  local_address rem_address   st\n   0: 0100007F:1F90 0100007F:A1B2 08 0:0\n   \
            1: 0100007F:1F90 0100007F:A1B3 01 0:0\n   2: 0100007F:A1B2 0100007F:1F90 08 0:0\n";
        assert_eq!(count(table, "0100007F:1F90", CLOSE_WAIT), 1);
    }

    #[test]
    fn open_files_of_processes_are_added_up() {
        let own = std::process::id();
        assert!(open_files(&[own, own]).unwrap() > open_files(&[own]).unwrap());
        assert_eq!(open_files(&[u32::MAX]), None);
    }

    #[test]
    fn a_socket_that_was_left_is_seen_until_it_is_closed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(std::net::TcpStream::connect(address).unwrap());
        let (forgotten, _) = listener.accept().unwrap();
        assert_eq!(forgotten_sockets(address), Some(1));
        drop(forgotten);
        assert_eq!(forgotten_sockets(address), Some(0));
    }
}
