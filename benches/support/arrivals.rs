//! The arrival time of a push at each of many sockets, by the kernel's timestamps.
//!
//! The kernel records when data comes to a socket, even if no process reads it. So the clients can rest until the push
//! is over, and take no processor time from a server that shares their core.

use std::io::IoSliceMut;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;

use super::{child, machine};

/// Makes the kernel stamp all data that comes from now on, at some 20 ns for each packet of the whole machine.
pub(crate) fn stamp(sockets: &[TcpStream]) {
    for socket in sockets {
        setsockopt(socket, sockopt::ReceiveTimestampns, &true).expect("Linux stamps");
    }
    child::report("stamping");
}

/// Reads the given number of bytes from each socket, which must have arrived or be on their way. Returns when the first
/// socket had all its bytes, and when the last.
pub(crate) fn report(sockets: &[TcpStream], bytes: usize) {
    let arrivals: Vec<_> = sockets.iter().map(|socket| read(socket, bytes)).collect();
    // Stamps are in wall time.
    let ahead = machine::wall_time() - machine::moment();
    let moment = |stamp: Option<&Duration>| *stamp.expect("there is a socket") - ahead;
    let (first, last) = (moment(arrivals.iter().min()), moment(arrivals.iter().max()));
    child::report(&format!("{} {}", first.as_nanos(), last.as_nanos()));
}

/// The time at which the last of these bytes arrived, in wall time.
fn read(socket: &TcpStream, bytes: usize) -> Duration {
    let (mut missing, mut arrived) = (bytes, None);
    while missing > 0 {
        let (count, stamp) = receive(socket);
        assert!((1..=missing).contains(&count), "the server has left, or sent too much");
        missing -= count;
        arrived = stamp;
    }
    arrived.expect("what arrives is stamped")
}

fn receive(socket: &TcpStream) -> (usize, Option<Duration>) {
    let mut bytes = [0; 1024];
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let mut notes = nix::cmsg_space!(TimeSpec);
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut notes), MsgFlags::empty());
    let message = message.expect("the server has sent everything");
    let stamp = message.cmsgs().expect("there is room for a stamp").find_map(|note| match note {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp.into()),
        _ => None,
    });
    (message.bytes, stamp)
}
