//! A client of the live arm: the connection of a virtual client, over a real socket.

mod live_client;
mod opening;
mod reading;
mod writing;

pub(crate) use live_client::LiveClient;
pub(crate) use opening::{Manner, NoConnection};
