//! `conform` acquits servers that are written correctly on the libraries that people use, and convicts those with a
//! defect, by the guarantee that names the cause. The expected verdicts were written before the first trial.
//!
//! `tests/foreign/install` installs the libraries. A server whose library is not there is named as skipped.

use std::sync::Mutex;

use super::subjects::{Subject, installed, try_all, violated};

const LAWFUL: &str = include_str!("lawful.toml");
const BROKEN: &str = include_str!("broken.toml");

/// The number of trials at the same time: on two cores, that is a busy machine.
const AT_ONCE: usize = 8;

/// How often each lawful server is tried.
const TRIALS: usize = 20;

/// The servers that `cargo test` tries: one on each library, and the oddest.
const QUICK: [&str; 8] = [
    "nothing-fragments",
    "nothing-other-case",
    "websockets",
    "websockets-deflate",
    "uvicorn",
    "ws",
    "fastify-1008",
    "faye",
];

/// The shares of broken servers that must be convicted, and by the guarantee that names the cause, in per cent.
const CONVICTED: usize = 95;
const NAMED: usize = 90;

/// Tries lawful servers, and fails if one of them is accused.
fn acquit(subjects: Vec<Subject>) {
    let accused = Mutex::new(Vec::new());
    try_all(subjects, AT_ONCE, |subject, result| {
        let conformance = result.unwrap_or_else(|error| panic!("{}: {error}", subject.name));
        let lax: Vec<_> = conformance.summary().lax.iter().map(|entry| entry.section.clone()).collect();
        println!("{} ({}): {:?}, lax {lax:?}", subject.name, subject.library, violated(&conformance));
        assert!(lax.iter().all(|section| section.starts_with("RFC 6455 §")), "{lax:?}");
        for entry in conformance.guarantees() {
            if violated(&conformance).contains(&entry.id) {
                let evidence =
                    (subject.name.clone(), subject.oddity.clone(), entry.id.clone(), entry.evidence.clone());
                accused.lock().expect("no thread panics with the lock").push(evidence);
            }
        }
    });
    let accused = accused.into_inner().expect("no thread panics with the lock");
    assert!(accused.is_empty(), "{accused:#?}");
}

#[test]
fn servers_on_libraries_that_people_use_are_acquitted() {
    let quick = |subject: &Subject| QUICK.contains(&subject.name.as_str());
    acquit(installed(LAWFUL).into_iter().filter(quick).collect());
}

#[test]
#[ignore = "forty minutes; tests/foreign/install first"]
fn every_lawful_server_is_acquitted_twenty_times() {
    let all = installed(LAWFUL);
    acquit((0..TRIALS).flat_map(|_| all.clone()).collect());
}

#[test]
#[ignore = "ten minutes; tests/foreign/install first"]
fn broken_servers_are_convicted_by_the_guarantee_that_names_the_cause() {
    let (all, missed) = (installed(BROKEN), Mutex::new((Vec::new(), Vec::new())));
    let count = all.len();
    try_all(all, AT_ONCE, |subject, result| {
        let found = result.as_ref().map(violated);
        let Subject { name, breaks, also, because, .. } = subject;
        let (is_convicted, is_named) = match &found {
            Ok(found) => {
                let names = |id: &String| id == breaks || also.contains(id);
                (!found.is_empty(), found.iter().any(names))
            }
            // A server that no client can use is refused with a sentence.
            Err(_) => (true, false),
        };
        println!("{name}: {found:?}; {breaks} {also:?}: {because}");
        let mut missed = missed.lock().expect("no thread panics with the lock");
        if !is_convicted {
            missed.0.push(name.clone());
        }
        if !is_named {
            missed.1.push(name.clone());
        }
    });
    let (acquitted, unnamed) = missed.into_inner().expect("no thread panics with the lock");
    println!("{count} tried; acquitted: {acquitted:?}; convicted of something else: {unnamed:?}");
    let share = |wrong: usize| (count - wrong) * 100 / count.max(1);
    assert!(share(acquitted.len()) >= CONVICTED, "{acquitted:?}");
    assert!(share(unnamed.len()) >= NAMED, "{unnamed:?}");
}

/// The manifests name sections and guarantees in the form of the reports.
#[test]
fn the_manifests_parse_and_every_expectation_is_a_guarantee() {
    let is_guarantee = |id: &String| id.parse::<carillon_simulator::Guarantee>().is_ok();
    let subjects = installed(BROKEN);
    assert!(subjects.iter().all(|one| is_guarantee(&one.breaks) && one.also.iter().all(is_guarantee)));
    assert!(installed(LAWFUL).iter().all(|one| one.lax.iter().all(|lax| lax.starts_with("RFC 6455 §"))));
}
