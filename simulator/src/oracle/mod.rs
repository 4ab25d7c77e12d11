//! The oracle: what each connection may, must and must not see, and what was broken.
//!
//! Where each guarantee is judged, on the simulated arms:
//!
//! | guarantee | file of `checker/` |
//! |---|---|
//! | G1 | `audit` |
//! | G2 | `pushes`, `audit` |
//! | G3 | `audit`, `endings`, `closes`, `shutdown` (liveness) |
//! | G4 | `pushes`, `audit` |
//! | G5 | `pushes`, `echoes`, `frames` |
//! | G6 | `pushes` |
//! | G7 | `pushes` |
//! | G8 | `echoes`, `frames`, `waiting` |
//! | G9 | `echoes`, `frames` |
//! | G10 | `audit`, `pushes`, `handshakes`, `held`, `closes` |
//! | G11 | `endings`, `shutdown` |
//! | G12 | `closes`, `endings`, `handshakes`, `echoes`, `frames` |
//! | G13 | `endings`, `echoes`, `frames`, `waiting` |
//! | G14 | `closes`, `endings`, `pushes`, `shutdown` |
//! | G15 | `log`, `shutdown`, `waiting` |
//!
//! The live arm takes `echoes` from here; its windows are as wide as what was measured, and stand in `live/judge/`. Both
//! arms share the [`score_keeper`].

pub(crate) mod guarantee;

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
