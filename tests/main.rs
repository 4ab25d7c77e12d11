//! The tests of the workspace, in one binary. The modules in alphabetical order:

mod arms; // the same scenarios on the core arm, the paused arm and TCP
mod catalogue; // defective servers that the harness must convict
mod compare; // comparisons of reports: regressions, noise, limits
mod conform; // verdicts of `conform` over real sockets
mod convictions; // simulated runs convict every defect of the catalogue
mod corpus; // replays of the seeds in `corpus.txt`
mod determinism; // equal seeds give equal digests, within and across processes
mod foreign; // verdicts on a third-party server in Python
mod house; // order of imports, sizes of files and functions
mod hub; // property tests of the hub against a model
mod log_escapes; // the escape lists of the server and of the oracle are equal
mod merge; // merged reports of the parts of a load
mod own_server; // the example of a trial in a user's own tests
mod paused; // the paused arm with servers of other designs
mod readme; // the examples in README.md
mod report; // report pages in HTML and Markdown
mod schema; // SCHEMA.md describes the JSON field by field
mod shrink; // failing runs become short scripts with explanations
mod soak; // judged loads over real sockets
mod support; // helpers that several modules share
mod tcp; // the whole reference server over loopback
mod tls; // `wss://`: verdicts, loads and refused certificates
mod trial; // the trial builder in a user's own tests
