//! The course of a soak: clients connect and leave by the plan, until its end.

use std::rc::Rc;
use std::time::Duration;

use carillon_server::Timestamp;
use tokio::task::{JoinSet, LocalSet};

use super::client;
use super::load::Soak;
use super::options::{SoakError, SoakOptions};
use super::outage::conclude_drops;
use super::watch::{Progress, watch};
use crate::live::clock::delay_probe;
use crate::live::judge::verdicts::{self, Trial};
use crate::live::server::endpoint::Endpoint;
use crate::oracle::guarantee::Guarantee;
use crate::report::{Shard, Summary};

/// How often the number of clients is adjusted.
const ADJUST_INTERVAL: Duration = Duration::from_millis(50);

/// How long the clients may take to leave at the end.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Puts the load on the server until the plan ends or the future `interrupted` completes. `show` gets the progress
/// once a second. Returns the report.
///
/// # Errors
///
/// The host name has no address, TLS with the server is impossible, or the system lacks a resource.
pub fn soak(
    options: SoakOptions,
    interrupted: impl Future<Output = ()>,
    show: impl FnMut(&Progress) + 'static,
) -> Result<Summary, SoakError> {
    let failed = |error: std::io::Error| SoakError(format!("cannot start: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    LocalSet::new().block_on(&runtime, async {
        let endpoint = Endpoint::find(&options.address, &options.trust).await.map_err(SoakError)?;
        let soak = Rc::new(Soak::new(options, endpoint));
        let mut interrupted = std::pin::pin!(interrupted);
        tokio::select! {
            biased;
            () = &mut interrupted => return Ok(conclude(&soak, true)),
            tried = soak.try_tls() => tried?,
        }
        let delay_probe = delay_probe::start(&soak.state).map_err(failed)?;
        let tasks = [
            tokio::task::spawn_local(Rc::clone(&soak.state.pulse).tick_forever()),
            tokio::task::spawn_local(watch(Rc::clone(&soak), show)),
        ];
        let was_interrupted = tokio::select! {
            biased;
            () = interrupted => true,
            () = perform(&soak) => false,
        };
        for task in tasks {
            task.abort();
        }
        drop(delay_probe);
        Ok(conclude(&soak, was_interrupted))
    })
}

async fn perform(soak: &Rc<Soak>) {
    let mut clients = JoinSet::new();
    let mut next = 0;
    let plan = soak.options.plan.clone();
    let (part, parts) = soak.options.shard;
    loop {
        let after = soak.state.now().since(Timestamp::ZERO);
        if after >= plan.duration() {
            break;
        }
        while next < plan.clients_at(after) {
            if next % parts == part - 1 {
                clients.spawn_local(client::run(Rc::clone(soak), next));
            }
            next += 1;
        }
        // Clients with the highest index leave first, and return as new clients when the plan has more again.
        next = next.min(plan.clients_at(after));
        while let Some(ended) = clients.try_join_next() {
            resume_panic(&ended);
        }
        soak.state.pulse.sleep(ADJUST_INTERVAL).await;
    }
    soak.is_over.set(true);
    soak.over.notify_waiters();
    let leaving = async {
        while let Some(ended) = clients.join_next().await {
            resume_panic(&ended);
        }
    };
    // A client that has not left by then is reported as still connected.
    let _is_left = tokio::time::timeout(LEAVE_TIMEOUT, leaving).await;
}

fn resume_panic<T>(ended: &Result<T, tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        panic!("a client's task has panicked: {error}");
    }
}

fn conclude(soak: &Soak, interrupted: bool) -> Summary {
    let options = &soak.options;
    {
        let mut judge = soak.state.judge.borrow_mut();
        let (uncertainty, now) = (soak.state.uncertainty(), soak.state.now());
        conclude_drops(&mut judge, soak.outage.take(), now);
        judge.conclude(u64::MAX);
        judge.conclude_grid(uncertainty, now);
        judge.conclude_late(soak.state.pulse.lateness(0.999), now);
        judge.conclude_texts();
    }
    soak.state.close_metrics();
    let entries = verdicts::entries(&soak.state.judge.borrow(), &Guarantee::ALL);
    let (part, parts) = options.shard;
    let thresholds = {
        let metrics = soak.state.metrics.borrow();
        options.thresholds.iter().map(|threshold| threshold.evaluate(&metrics)).collect()
    };
    let clients = (0..options.plan.most()).filter(|index| index % parts == part - 1).count();
    let trial = Trial {
        command: "soak",
        scenario: options.scenario.name.clone(),
        seed: options.seed,
        clients: clients as u32,
        plan: Some(options.plan.to_string()),
        shard: (parts > 1).then(|| Shard { numbers: vec![part], of: parts }),
        thresholds,
        interrupted,
        repeat: options.repeat_line(),
    };
    verdicts::summary(&soak.state, &entries, trial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::live::client::LiveClient;
    use crate::live::server::address::Address;
    use crate::live::server::tls::Trust;
    use crate::live::soak::plan::Plan;
    use crate::scenario::Scenario;

    /// A client's own memory; with that of the runtime and the system for its socket it is less than 3 KiB.
    #[test]
    fn a_client_is_small() {
        let address = Address::parse("ws://127.0.0.1:1/").unwrap();
        let plan = Plan::steady(1, Duration::from_secs(10));
        let scenario = Scenario::fanout(1, Duration::from_secs(10), Duration::from_secs(1));
        let endpoint = Endpoint { address: address.clone(), socket: ([127, 0, 0, 1], 1).into(), tls: None };
        let options = SoakOptions {
            address,
            trust: Trust::default(),
            dialect: Dialect::default(),
            scenario,
            plan,
            seed: 1,
            shard: (1, 1),
            thresholds: Vec::new(),
            server: None,
            is_served: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let soak = Rc::new(Soak::new(options, endpoint));
            let task = client::run(soak, 0);
            let (client, task) = (size_of::<LiveClient>(), size_of_val(&task));
            assert!(client <= 800 && task <= 1024, "a client of {client} bytes in a task of {task}");
        });
    }
}
