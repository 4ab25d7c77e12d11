//! The oracle: what each connection may, must and must not see, and which guarantees the server broke.
//!
//! Where each guarantee is judged, on the simulated arms:
//!
//! | guarantee | file of `checker/` |
//! |---|---|
//! | G1 Subscribed by default | `audit` |
//! | G2 Silence while unsubscribed | `audit`, `pushes` |
//! | G3 Every subscriber, every cycle | `audit`, `closes`, `endings`, `shutdown` |
//! | G4 At most once | `audit`, `pushes` |
//! | G5 In order | `echoes`, `frames`, `pushes` |
//! | G6 Exact text | `pushes` |
//! | G7 On the grid | `pushes` |
//! | G8 Faithful echo | `echoes`, `frames` |
//! | G9 Quiet commands | `echoes`, `frames` |
//! | G10 No client delays another | `audit`, `closes`, `handshakes`, `held`, `pushes` |
//! | G11 Nothing left behind | `endings`, `shutdown` |
//! | G12 Malformed input named | `closes`, `echoes`, `endings`, `frames`, `handshakes` |
//! | G13 Alive or found out | `echoes`, `endings`, `frames`, `waiting` |
//! | G14 Clean shutdown | `closes`, `endings`, `pushes`, `shutdown` |
//! | G15 Logged | `log`, `waiting` |
//!
//! The live arm uses `echoes` from here. Its own windows are in `live/judge/`, and are as wide as the measured times.
//! Both arms share the [`score_keeper`].

pub(crate) mod guarantee;

pub(crate) mod clause;

pub(crate) mod coverage;

pub(crate) mod score;

pub(crate) mod verdict;

pub(crate) mod score_keeper;

pub(crate) mod model;

pub(crate) mod census;

pub(crate) mod connection;

pub(crate) mod sighting;

pub(crate) mod server_log;

pub(crate) mod checker;
