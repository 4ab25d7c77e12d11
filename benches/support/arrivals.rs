//! Many sockets that wait for a push at the same time: when the first one has it, and when the last.

use std::io::Read;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll;

use super::{child, machine};

/// Events that the kernel reports at a time.
const EVENTS: usize = 1024;

/// Waits until each socket has got so many bytes, and reports the first and the last moment at which one had.
pub(crate) fn watch(sockets: &mut [TcpStream], bytes: usize) {
    // Only for now: the kernel notes every arrival for it, at the expense of whoever writes.
    let epoll = register(sockets);
    child::report("watching");
    let (first, last) = await_all(&epoll, sockets, bytes);
    child::report(&format!("{} {}", first.as_nanos(), last.as_nanos()));
}

fn register(sockets: &[TcpStream]) -> OwnedFd {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("room for one more file");
    for (index, socket) in sockets.iter().enumerate() {
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&epoll, socket, data, epoll::EventFlags::IN).expect("the socket is open");
    }
    epoll
}

fn await_all(epoll: &OwnedFd, sockets: &mut [TcpStream], bytes: usize) -> (Duration, Duration) {
    let mut missing = vec![bytes; sockets.len()];
    let (mut waiting, mut first, mut last) = (sockets.len(), None, Duration::ZERO);
    let (mut events, mut buffer) = (Vec::with_capacity(EVENTS), [0; 1024]);
    while waiting > 0 {
        events.clear();
        epoll::wait(epoll, rustix::buffer::spare_capacity(&mut events), None).expect("nobody interrupts");
        for event in &events {
            let index = event.data.u64() as usize;
            let count = sockets[index].read(&mut buffer).expect("the server is there");
            assert!((1..=missing[index]).contains(&count), "the server has left, or sent too much");
            missing[index] -= count;
            if missing[index] == 0 {
                waiting -= 1;
                last = machine::moment();
                first.get_or_insert(last);
            }
        }
    }
    (first.unwrap_or(last), last)
}
