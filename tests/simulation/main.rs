//! The whole service under random schedules: two processes of the real functions on a table, queues, a bus and a broker in memory,
//! which are killed between any two steps, and whose messages come twice or late, whose clocks differ, and whose receivers, queues,
//! broker and table fail, before they have done what was asked or after. Then all is well again, time passes, and everything must have
//! come to its end: what was acknowledged is stored once, delivered, processed, counted, projected and published.
//!
//! Each run follows from a seed. `SIMULATE_SEEDS` says how many there are, `SIMULATE_FROM` with which they begin; a run that goes wrong
//! is repeated with ever fewer steps, and the shortest that still goes wrong is shown.

#![cfg(test)]

mod checks;
mod outside;
mod plan;
mod service;
mod stores;
mod surroundings;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use shared::config;

use self::checks::{Redriven, check};
use self::plan::{Plan, plan};
use self::service::Service;
use self::surroundings::Flaw;

/// How many runs there are unless the environment says otherwise.
const SEEDS: u64 = 1_200;
/// How many runs a flaw may take to show.
const SEEDS_OF_A_FLAW: u64 = 500;

/// One run, to its end. A panic is what goes wrong with it.
fn run(plan: &Plan, seed: u64, flaw: Flaw) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| endured(plan, seed, flaw))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned()));
        Err(format!("it panicked: {}", text.unwrap_or_default()))
    })
}

fn endured(plan: &Plan, seed: u64, flaw: Flaw) -> Result<(), String> {
    // Some functions set time limits. Nobody drives these: no time passes but the plan's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let mut service = Service::open(plan, seed, flaw);
    service.endure(&plan.moves);
    service.rest()?;
    check(&service, Redriven::No)?;
    service.ask("POST", "/api/v1/events/dead-letters/redrive", &json!({"all": true}));
    service.rest()?;
    check(&service, Redriven::Yes)
}

/// The plan with as few steps as go wrong still, and how.
fn shortened(mut plan: Plan, seed: u64, flaw: Flaw, mut problem: String) -> (Plan, String) {
    let mut size = plan.moves.len().div_ceil(2);
    let mut runs = 0;
    while size > 0 {
        let mut start = 0;
        while start < plan.moves.len() && runs < 600 {
            let mut shorter = plan.clone();
            shorter.moves.drain(start..(start + size).min(plan.moves.len()));
            runs += 1;
            match run(&shorter, seed, flaw) {
                Ok(()) => start += size,
                Err(still) => (plan, problem) = (shorter, still),
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    (plan, problem)
}

/// Runs as many at a time as there are processors, and returns the first seed that goes wrong, if any does.
fn first_problem(first: u64, seeds: u64, bar: &ProgressBar) -> Option<(u64, String)> {
    let (next, found) = (AtomicU64::new(first), Mutex::new(None));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds || found.lock().unwrap().is_some() {
                        return;
                    }
                    if let Err(problem) = run(&plan(seed), seed, Flaw::Nothing) {
                        found.lock().unwrap().get_or_insert((seed, problem));
                    }
                    bar.inc(1);
                }
            });
        }
    });
    found.into_inner().unwrap()
}

/// BR-EVT-001. BR-PRC-001. BR-PRC-003. BR-PRC-004. BR-SUB-004. BR-SUB-005. BR-SUB-006.
#[test]
fn whatever_happens_nothing_is_lost_doubled_or_out_of_order() {
    let first: u64 = config::parsed("SIMULATE_FROM").unwrap().unwrap_or(0);
    let asked: Option<u64> = config::parsed("SIMULATE_SEEDS").unwrap();
    let seeds = asked.unwrap_or(SEEDS);
    let bar = if asked.is_some() { ProgressBar::new(seeds) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:40.cyan/blue} {human_pos} of {human_len} schedules, {per_sec}, {eta} left").unwrap());
    let began = Instant::now();
    let found = first_problem(first, seeds, &bar);
    bar.finish_and_clear();
    if let Some((seed, found)) = found {
        let (plan, found) = shortened(plan(seed), seed, Flaw::Nothing, found);
        panic!("seed {seed}: {found}\n{plan}");
    }
    println!("{seeds} schedules from seed {first}: all invariants held, in {:.0?}", began.elapsed());
}

/// Checks that a flaw shows in this way, if not in every run that goes wrong.
fn is_noticed(flaw: Flaw, as_what: &str) {
    let mut others: Vec<(u64, String)> = Vec::new();
    for seed in 0..SEEDS_OF_A_FLAW {
        match run(&plan(seed), seed, flaw) {
            Err(problem) if problem.contains(as_what) => return,
            Err(problem) => others.push((seed, problem)),
            Ok(()) => {}
        }
    }
    panic!("{others:#?}");
}

#[test]
fn lanes_that_run_ahead_are_noticed() {
    is_noticed(Flaw::LanesAhead, " was neither taken nor parked");
}

#[test]
fn requests_that_overtake_others_are_noticed() {
    is_noticed(Flaw::Overtaking, " took ");
}

#[test]
fn outcomes_that_are_saved_over_others_are_noticed() {
    is_noticed(Flaw::UnseenOutcomes, " has lost ");
}

#[test]
fn messages_that_are_lost_for_good_are_noticed() {
    is_noticed(Flaw::LostMessages, " was neither taken nor parked");
}

#[test]
fn definitions_that_are_out_of_date_are_noticed() {
    is_noticed(Flaw::OldDefinitions, ", which did not want it");
}

#[test]
fn events_that_leak_to_another_organization_are_noticed() {
    is_noticed(Flaw::Leaks, ", which did not want it");
}

#[test]
fn events_that_are_counted_twice_are_noticed() {
    is_noticed(Flaw::CountedTwice, "the statistics of ");
}

#[test]
fn a_page_that_is_forgotten_is_noticed() {
    is_noticed(Flaw::ForgottenPage, "the projection of ");
}

#[test]
fn messages_that_are_settled_before_they_are_stored_are_noticed() {
    is_noticed(Flaw::SettledEarly, " was taken and is not stored");
}

#[test]
fn messages_that_reach_the_broker_late_are_noticed() {
    is_noticed(Flaw::LateMessages, " was published before ");
}

#[test]
fn held_events_that_are_dropped_are_noticed() {
    is_noticed(Flaw::NothingHeld, " was taken and is not stored");
}
