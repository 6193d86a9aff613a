//! What reads from outside, on made-up input: the targets of `make fuzz`, on their corpus and on some thousand changes of it. Changes
//! here are blind; `make fuzz` is guided by what they reach, and `.ci/weekly` has it go on for hours.

#![cfg(test)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

#[path = "../../fuzz/targets/ask.rs"]
mod ask;
#[path = "../../fuzz/targets/collect.rs"]
mod collect;
#[path = "../../fuzz/targets/define.rs"]
mod define;
#[path = "../../fuzz/targets/message.rs"]
mod message;
#[path = "../../fuzz/targets/names.rs"]
mod names;
#[path = "../../fuzz/targets/record.rs"]
mod record;

/// How many changed inputs each target gets.
const CHANGED: u64 = 4000;
/// The most bytes of one.
const MOST: usize = 4096;

/// What parsers take for more than text.
const TOKENS: [&str; 28] = [
    "\0",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    ":",
    ",",
    "null",
    "true",
    "-0",
    "1e999",
    "99999999999999999999",
    "$ref",
    "$data.",
    "{{",
    "}}",
    "*",
    "..",
    "%2F",
    "2026-02-30T25:61:00Z",
    "\u{feff}",
    "é",
    "event_type",
    "cursor",
];

/// The corpus of a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let kept = std::fs::read_dir(root.join("fuzz/corpus").join(target)).unwrap();
    let mut inputs: Vec<Vec<u8>> = kept.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    // In the same order on every machine.
    inputs.sort_unstable();
    inputs
}

fn change(input: &mut Vec<u8>, others: &[Vec<u8>], dice: &mut StdRng) {
    for _ in 0..dice.random_range(1..6) {
        let at = dice.random_range(0..=input.len());
        let to = (at + dice.random_range(0..16_usize)).min(input.len());
        match dice.random_range(0..6) {
            0 if at < input.len() => input[at] ^= 1 << dice.random_range(0..8),
            1 => drop(input.drain(at..to)),
            2 => drop(input.splice(at..to, TOKENS.choose(dice).unwrap().bytes())),
            3 => {
                let copy = input[at..to].repeat(dice.random_range(1..20));
                input.splice(at..at, copy);
            }
            4 => input.insert(at, dice.random()),
            _ => {
                let other = others.choose(dice).unwrap();
                let from = dice.random_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input.truncate(MOST);
}

/// The first input that the target does not survive.
fn broken_by(run: fn(&[u8]), corpus: &[Vec<u8>]) -> Option<Vec<u8>> {
    let survives = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| run(input))).is_ok();
    let changed = (0..CHANGED).map(|seed| {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut input = corpus.choose(&mut dice).unwrap().clone();
        change(&mut input, corpus, &mut dice);
        input
    });
    corpus.iter().cloned().chain(changed).find(|input| !survives(input))
}

fn holds(target: &str, run: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(corpus.len() > 10, "the corpus of {target} is lost");
    if let Some(input) = broken_by(run, &corpus) {
        panic!("{target} does not survive this: put it into fuzz/corpus/{target}/\n{}", input.escape_ascii());
    }
}

#[test]
fn whatever_is_sent_to_a_collector_is_read_or_rejected() {
    holds("collect", collect::run);
}

#[test]
fn whatever_is_recorded_can_be_stored_or_is_refused() {
    holds("record", record::run);
}

#[test]
fn whatever_is_asked_for_is_understood_or_refused() {
    holds("ask", ask::run);
}

#[test]
fn whatever_is_defined_is_understood_or_refused() {
    holds("define", define::run);
}

#[test]
fn names_and_addresses_are_read_or_refused() {
    holds("names", names::run);
}

#[test]
fn whatever_comes_by_nats_is_an_event_or_a_rejected_one() {
    holds("message", message::run);
}

/// A test of these tests.
#[test]
fn a_parser_that_breaks_is_found() {
    let breaks: fn(&[u8]) = |input| assert!(!String::from_utf8_lossy(input).contains("1e999"));
    let found = broken_by(breaks, &corpus("record")).expect("a flaw that a few changes reach");
    assert!(String::from_utf8_lossy(&found).contains("1e999"));
    assert_eq!(broken_by(|_| {}, &corpus("record")), None);
}
