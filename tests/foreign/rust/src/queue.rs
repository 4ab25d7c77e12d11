//! The queue of one client in the servers on tokio: echoes wait until there is space, pushes do not wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::{ECHOES_WAITING, Member, Options, PUSHES_WAITING, Request, Room, run_schedule, understand};

pub enum Order {
    Echo(String),
    Push(String),
    Close(u16),
}

/// The sending half. `cut` becomes true when the client was too slow.
pub struct Outlet {
    echoes: mpsc::Sender<String>,
    pushes: mpsc::Sender<String>,
    end: mpsc::Sender<u16>,
    cut: watch::Sender<bool>,
}

/// The receiving half, for the task that writes.
pub struct Inlet {
    echoes: mpsc::Receiver<String>,
    pushes: mpsc::Receiver<String>,
    end: mpsc::Receiver<u16>,
    pub cut: watch::Receiver<bool>,
}

pub type Client = Arc<Member<Outlet>>;

pub fn join(room: &Room<Outlet>) -> (Client, Inlet) {
    let waiting = if room.options.has("queues-without-bound") { 1 << 24 } else { ECHOES_WAITING };
    let (echoes, echoes_out) = mpsc::channel(waiting);
    let (pushes, pushes_out) = mpsc::channel(PUSHES_WAITING);
    let (end, end_out) = mpsc::channel(1);
    let (cut, is_cut) = watch::channel(false);
    let client = room.join(Outlet { echoes, pushes, end, cut });
    (client, Inlet { echoes: echoes_out, pushes: pushes_out, end: end_out, cut: is_cut })
}

impl Inlet {
    /// What is to be sent next; a Close only when nothing else waits.
    pub async fn next(&mut self) -> Option<Order> {
        tokio::select! {
            biased;
            Some(text) = self.pushes.recv() => Some(Order::Push(text)),
            Some(text) = self.echoes.recv() => Some(Order::Echo(text)),
            Some(code) = self.end.recv() => Some(Order::Close(code)),
            else => None,
        }
    }

    /// Resolves when the client has to be cut off, because it was too slow.
    pub async fn until_cut(mut cut: watch::Receiver<bool>) {
        if cut.wait_for(|is_cut| *is_cut).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Serves one text, and returns its echo.
pub fn answer(room: &Room<Outlet>, client: &Client, text: &str) -> Option<String> {
    match understand(&room.options, text) {
        Request::Subscribe(is_on) => {
            client.is_subscribed.store(is_on, Ordering::SeqCst);
            None
        }
        Request::Echo(reply) => Some(reply),
    }
}

/// Serves one text, and queues its echo. False if the writer has ended.
pub async fn on_text(room: &Room<Outlet>, client: &Client, text: &str) -> bool {
    match answer(room, client, text) {
        None => true,
        Some(reply) => client.outlet.echoes.send(reply).await.is_ok(),
    }
}

pub fn walk(room: &Room<Outlet>, text: &str) {
    for (index, client) in room.subscribers().into_iter().enumerate() {
        if room.options.has("late-for-some") && index == 4 {
            // A lookup that blocks, in the middle of the walk.
            std::thread::sleep(room.options.period * 13 / 20);
        }
        if client.outlet.pushes.try_send(text.to_owned()).is_err() && !room.options.has("drops-when-full") {
            client.outlet.cut.send_replace(true);
        }
    }
}

pub fn start(options: Options) -> Arc<Room<Outlet>> {
    let room = Arc::new(Room::new(options));
    let own = Arc::clone(&room);
    std::thread::spawn(move || run_schedule(&own.options, |text| walk(&own, &text)));
    room
}

/// Waits for SIGTERM, closes all clients, and waits until they have gone.
pub async fn until_drained(room: &Room<Outlet>) {
    let mut told = signal(SignalKind::terminate()).expect("a signal handler");
    told.recv().await;
    for client in room.members() {
        let _ = client.outlet.end.try_send(room.options.end_code());
    }
    for _ in 0..150 {
        if room.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
