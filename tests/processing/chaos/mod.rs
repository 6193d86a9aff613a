//! What happens after an answer under random schedules: functions that are killed between any two steps, messages that come twice or
//! late, receivers, queues and a store that fail. Then all is well again, time passes, and everything must have come to its end.
//!
//! Each run follows from a seed. `CHAOS_CASES` says how many there are, `CHAOS_SEED` with which they begin; a run that goes wrong is
//! repeated with ever fewer steps, and the shortest that still goes wrong is shown.

mod checks;
mod plan;
mod service;
mod surroundings;

use serde_json::json;
use shared::config;

use self::checks::{Redriven, check};
use self::plan::{Plan, plan};
use self::service::Service;
use self::surroundings::Flaw;

/// How many runs there are unless the environment says otherwise.
const CASES: u64 = 200;
/// How many runs a flaw may take to show.
const CASES_OF_A_FLAW: u64 = 100;

/// One run, to its end.
fn run(plan: &Plan, seed: u64, flaw: Flaw) -> Result<(), String> {
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

/// What goes wrong in these runs.
fn problems(seeds: impl IntoIterator<Item = u64>, flaw: Flaw) -> impl Iterator<Item = (u64, String)> {
    seeds.into_iter().filter_map(move |seed| run(&plan(seed), seed, flaw).err().map(|problem| (seed, problem)))
}

/// BR-PRC-001. BR-PRC-003. BR-PRC-004. BR-SUB-004. BR-SUB-005. BR-SUB-006.
#[test]
fn whatever_happens_every_event_is_delivered_and_processed_in_its_order() {
    let first: u64 = config::parsed("CHAOS_SEED").unwrap().unwrap_or(0);
    let cases = config::parsed("CHAOS_CASES").unwrap().unwrap_or(CASES);
    if let Some((seed, found)) = problems(first..first + cases, Flaw::Nothing).next() {
        let (plan, found) = shortened(plan(seed), seed, Flaw::Nothing, found);
        panic!("seed {seed}: {found}\n{plan}");
    }
}

/// Checks that a flaw shows in this way, if not in every run that goes wrong.
fn is_noticed(flaw: Flaw, as_what: &str) {
    let mut others: Vec<(u64, String)> = Vec::new();
    for (seed, problem) in problems(0..CASES_OF_A_FLAW, flaw) {
        if problem.contains(as_what) {
            return;
        }
        others.push((seed, problem));
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
