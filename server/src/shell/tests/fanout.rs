//! Every kind of fan-out over sockets that refuse bytes: the stream stays whole, and a blocked task is woken.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;

use crate::announcer::Announcer;
use crate::config::Config;
use crate::shell::clock::{Clock, SystemClock};
use crate::shell::fanout::Fanout;
use crate::shell::shard::Shard;
use crate::shell::shard::streams::{Streams, Ticket};
use crate::shell::tests::scripted::{Events, PERIOD, REQUEST, RESPONSE, noon_and, push};
use crate::time::{Now, Timestamp};
use crate::wire::{ConnectionId, Wire};
use crate::zone::Zone;

/// Longer than every test of this file: a stream that is never woken should fail its test, not block it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The buffer size that the test requests for a narrow socket, in bytes; the kernel holds a few thousand more.
const NARROW: u32 = 4096;

/// Runs `test` once for each kind of fan-out that this system has.
async fn each_way(test: impl AsyncFn(Fanout)) {
    println!("portable");
    tokio::time::timeout(PATIENCE, test(Fanout::portable())).await.expect("no task was woken");
    match Fanout::uring() {
        Ok(uring) => {
            println!("uring");
            tokio::time::timeout(PATIENCE, test(uring)).await.expect("no task was woken");
        }
        Err(error) => println!("skipped: there is no io_uring: {error}"),
    }
}

/// A listener whose sockets have a small send buffer.
fn listen_narrow() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(NARROW).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    socket.listen(16).unwrap()
}

/// Both ends of a connection: the server's end, and a client's end with a small receive buffer.
async fn connect_narrow(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(NARROW).unwrap();
    let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, client)
}

/// A clock that begins at noon and moves only when the test moves it.
#[derive(Default)]
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now(&self) -> Now {
        noon_and(Duration::from_nanos(self.0.load(Ordering::Relaxed)))
    }

    /// Later than the end of any test: these tests wake no task by time.
    fn instant(&self, _: Timestamp) -> Instant {
        SystemClock::new().instant(Timestamp::MAX)
    }
}

/// A shard over narrow sockets. The test moves its clock and polls its timer loop.
struct NarrowShard {
    shard: Shard<TcpStream>,
    clock: Arc<HandClock>,
    listener: TcpListener,
}

impl NarrowShard {
    fn open(fanout: Fanout) -> Self {
        let config = Config { ping_interval: 100_000 * PERIOD, ..Config::default() };
        let announcer = Arc::new(Mutex::new(Announcer::new(Timestamp::ZERO, PERIOD, Zone::UTC)));
        let clock = Arc::<HandClock>::default();
        let shard = Shard::new(config, announcer, clock.clone(), Arc::<Events>::default(), 1).unwrap();
        shard.set_fanout(fanout);
        Self { shard, clock, listener: listen_narrow() }
    }

    async fn subscribe(&self) -> TcpStream {
        let (near, mut far) = connect_narrow(&self.listener).await;
        spawn_local(self.shard.serve(near, true));
        far.write_all(REQUEST).await.unwrap();
        let mut response = vec![0; RESPONSE.len()];
        far.read_exact(&mut response).await.unwrap();
        assert_eq!(response, RESPONSE);
        far
    }

    /// Moves the clock by one period and waits for the push.
    async fn push(&self) {
        self.clock.0.fetch_add(PERIOD.as_nanos() as u64, Ordering::Relaxed);
        let pushed = self.shard.counters().pushes;
        let mut run = pin!(self.shard.run());
        poll_fn(|cx| {
            assert!(run.as_mut().poll(cx).is_pending(), "a shard runs for ever");
            if self.shard.counters().pushes > pushed { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn a_client_that_reads_late_gets_every_push_whole_and_in_order_and_delays_no_other() {
    /// More pushes than the kernel holds for a client that does not read.
    const ENOUGH: usize = 10_000;

    each_way(async |fanout| {
        let serve = async {
            let narrow = NarrowShard::open(fanout);
            let mut readers = [narrow.subscribe().await, narrow.subscribe().await];
            let mut late = narrow.subscribe().await;
            let mut pushes = Vec::new();
            // Ten more pushes after the first one that the late client's socket refused.
            while narrow.shard.census().held < 10 * push(1).len() {
                narrow.push().await;
                let [one, two] = &mut readers;
                let push = read(one, push(1).len()).await;
                assert_eq!(read(two, push.len()).await, push);
                pushes.push(push);
                assert!(pushes.len() < ENOUGH, "the socket refused no push");
            }
            assert_eq!(pushes[0], push(1));
            assert_eq!(pushes[1], push(2));
            assert!(read(&mut late, pushes.len() * push(1).len()).await == pushes.concat());
            assert_eq!(narrow.shard.census().held, 0);
        };
        LocalSet::new().run_until(serve).await;
    })
    .await;
}

#[tokio::test]
async fn a_frame_that_was_accepted_in_part_is_finished_when_there_is_room() {
    /// Longer than the kernel's buffers of a narrow socket, so that the socket accepts a part.
    const LENGTH: usize = 1 << 20;

    each_way(async |fanout| {
        let listener = listen_narrow();
        let mut streams = Streams::new(PERIOD, Arc::<Events>::default());
        streams.set_fanout(fanout);
        let frame: Vec<u8> = (0..LENGTH).map(|index| (index / 251) as u8).collect();
        let (mut tickets, mut readers) = (Vec::new(), Vec::new());
        for slot in 0..3 {
            let (near, far) = connect_narrow(&listener).await;
            tickets.push(streams.insert(ConnectionId(slot), near));
            readers.push(far);
        }
        let taken = offer_to_all(&mut streams, &tickets, &frame).await;
        assert!(taken.iter().all(|taken| (1..LENGTH).contains(taken)), "{taken:?}");
        for ((ticket, taken), mut reader) in tickets.into_iter().zip(taken).zip(readers) {
            // A separate task, so that the wake-ups of the reader do not wake the writer.
            let reading = tokio::spawn(async move { read(&mut reader, LENGTH).await });
            finish(&mut streams, ticket, &frame, taken).await;
            assert!(reading.await.unwrap() == frame);
        }
    })
    .await;
}

#[tokio::test]
async fn a_socket_that_was_reset_fails_and_the_next_one_does_not() {
    each_way(async |fanout| {
        let listener = listen_narrow();
        let mut streams = Streams::new(PERIOD, Arc::<Events>::default());
        streams.set_fanout(fanout);
        let (broken, gone) = connect_narrow(&listener).await;
        let (sound, mut reader) = connect_narrow(&listener).await;
        gone.set_zero_linger().unwrap();
        drop(gone);
        // tokio's driver must see the sockets once before the streams try to write.
        sound.writable().await.unwrap();
        broken.writable().await.unwrap();
        let tickets = [streams.insert(ConnectionId(0), broken), streams.insert(ConnectionId(1), sound)];
        let mut taken = [0; 2];
        streams.send_all(&tickets.map(|ticket| ticket.id), b"push", &mut taken);
        assert_eq!(taken, [4; 2], "a stream that has failed accepts all bytes");
        let [broken, sound] = tickets.map(|ticket| streams.get(ticket).unwrap().has_failed);
        assert!(broken && !sound);
        assert_eq!(read(&mut reader, 4).await, b"push");
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_ring_that_fails_is_replaced_and_logged_once_and_no_push_is_lost() {
    use crate::shell::fanout::Way;
    use crate::shell::fanout::uring::Ring;

    let mut ring = match Ring::open() {
        Ok(ring) => Box::new(ring),
        Err(error) => return println!("skipped: there is no io_uring: {error}"),
    };
    ring.retire();
    let events = Arc::<Events>::default();
    let mut streams = Streams::new(PERIOD, events.clone());
    streams.set_fanout(Fanout(Way::Uring(ring)));
    let (near, mut far) = connect_narrow(&listen_narrow()).await;
    near.writable().await.unwrap();
    let to = [streams.insert(ConnectionId(0), near).id];
    for _ in 0..2 {
        let mut taken = [0];
        streams.send_all(&to, b"push", &mut taken);
        assert_eq!((taken, read(&mut far, 4).await.as_slice()), ([4], &b"push"[..]));
    }
    assert_eq!(events.take(), ["fanout"], "logged once");
}

/// Offers the frame as a fan-out does, from the task that the streams later wake.
async fn offer_to_all(streams: &mut Streams<TcpStream>, tickets: &[Ticket], frame: &[u8]) -> Vec<usize> {
    poll_fn(|cx| {
        tickets.iter().for_each(|ticket| streams.register(*ticket, cx.waker()));
        let to: Vec<_> = tickets.iter().map(|ticket| ticket.id).collect();
        let mut taken = vec![0; to.len()];
        streams.send_all(&to, frame, &mut taken);
        assert!(tickets.iter().all(|ticket| streams.get(*ticket).is_some_and(|slot| slot.is_blocked)));
        Poll::Ready(taken)
    })
    .await
}

/// Sends the rest of the frame, a piece each time that the stream wakes the task.
async fn finish(streams: &mut Streams<TcpStream>, ticket: Ticket, frame: &[u8], mut taken: usize) {
    // The first poll does not follow from a wake-up.
    let mut is_woken = false;
    poll_fn(|_| {
        if std::mem::replace(&mut is_woken, true) {
            taken += streams.send(ticket.id, &frame[taken..]);
        }
        if taken == frame.len() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
