//! A client of the live arm: a virtual client's connection over a real socket.

mod live_client;
mod opening;
mod reading;
mod shown;
mod writing;

pub(crate) use live_client::LiveClient;
pub(crate) use opening::{NoConnection, RequestForm};
pub(crate) use shown::with_code;
