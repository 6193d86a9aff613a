//! What is told: a file of numbers and three tables, with what the product promises beside them.

use std::fmt::Write as _;
use std::path::Path;

use clap::builder::styling::{AnsiColor, Style};
use indicatif::HumanCount;
use serde::ser::{Serialize, SerializeStruct as _, Serializer};
use tools::charts::{self, ChartError, Series, Words};
use tools::prices;

use crate::operation::Per;

/// The table that a measure is shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Of handlers that are called.
    Called,
    /// Of requests through HTTP.
    Http,
    /// Of what happens after an answer.
    After,
}

impl Part {
    const ALL: [Self; 3] = [Self::Called, Self::Http, Self::After];

    const fn title(self) -> &'static str {
        match self {
            Self::Called => "called",
            Self::Http => "through HTTP",
            Self::After => "after the answer",
        }
    }
}

/// One operation, measured in one way at one size of the store.
#[derive(Debug, Clone)]
pub(crate) struct Measure {
    /// Where it is shown.
    pub(crate) part: Part,
    /// The operation's name; `_http_` and a number say through how many connections.
    pub(crate) name: String,
    /// How many events the store held.
    pub(crate) events: u32,
    /// What the numbers are given for.
    pub(crate) per: Per,
    /// Write units, indexes included.
    pub(crate) write_units: f64,
    /// Read units.
    pub(crate) read_units: f64,
    /// Calls of the store.
    pub(crate) calls: f64,
    /// Events or requests, each second.
    pub(crate) per_second: f64,
    /// The median time of a request.
    pub(crate) p50_ms: f64,
    /// The same of the smallest store, measured in turns with this one.
    pub(crate) beside: Option<Beside>,
    /// The time within which 99 of 100 requests are answered.
    pub(crate) p99_ms: f64,
}

/// What a measure is to be compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Beside {
    /// How many events that store held.
    pub(crate) events: u32,
    /// The median time there.
    pub(crate) p50_ms: f64,
}

/// A measure, and how it compares with what is promised.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    measure: Measure,
    goal: Option<Goal>,
}

/// What is promised, and whether it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Goal {
    text: String,
    is_met: bool,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Measure { part: _, name, events, per, write_units, read_units, calls, per_second, p50_ms, p99_ms, beside: _ } = &self.measure;
        let mut fields = serializer.serialize_struct("Row", 11)?;
        fields.serialize_field("name", name)?;
        fields.serialize_field("events", events)?;
        fields.serialize_field("per", word(*per))?;
        let numbers = [
            ("write_units", write_units),
            ("read_units", read_units),
            ("calls", calls),
            ("per_second", per_second),
            ("p50_ms", p50_ms),
            ("p99_ms", p99_ms),
        ];
        for (name, number) in numbers {
            fields.serialize_field(name, &((number * 1e4).round() / 1e4))?;
        }
        fields.serialize_field("goal", &self.goal.as_ref().map(|goal| &goal.text))?;
        fields.serialize_field("met", &self.goal.as_ref().map(|goal| goal.is_met))?;
        fields.end()
    }
}

/// What the charts are of: operations whose latency or price might grow with the store.
const CHARTED: [&str; 8] =
    ["create", "batch_20_one_stream", "get", "stream_1000", "query_type_time_1000", "query_type_week_1000", "offset_50000", "statistics"];

/// Draws how long operations take, and what DynamoDB asks for a million of them, by the size of the store.
pub(crate) fn draw(folder: &Path, measures: &[Measure]) -> Result<(), ChartError> {
    let series = |height: fn(&Measure) -> f64| -> Vec<Series> {
        let of = |name: &&str| Series {
            name: (*name).to_owned(),
            points: measures
                .iter()
                .filter(|measure| measure.name == **name)
                .map(|measure| (measure.events.into(), height(measure)))
                .collect(),
        };
        CHARTED.iter().map(of).collect()
    };
    let words = Words { title: "How long operations take: p50 of the handler, embedded store", across: "events in the store", up: "ms" };
    charts::lines(&folder.join("latency.svg"), words, &series(|measure| measure.p50_ms))?;
    let words = Words { title: "What DynamoDB asks for a million events written, or calls", across: "events in the store", up: "dollars" };
    let price = |measure: &Measure| measure.write_units * prices::WRITE_UNITS_MILLION + measure.read_units * prices::READ_UNITS_MILLION;
    charts::lines(&folder.join("price.svg"), words, &series(price))
}

const fn word(per: Per) -> &'static str {
    match per {
        Per::Event(_) => "event",
        Per::Call => "call",
        Per::Delivery => "delivery",
    }
}

/// The rows of the measures: by operation, and each operation's by the size of the store.
pub(crate) fn rows(measures: &[Measure]) -> Vec<Row> {
    let place = |measure: &Measure| measures.iter().position(|first| first.name == measure.name);
    let mut rows: Vec<Row> = measures.iter().map(|measure| Row { goal: goal(measure), measure: measure.clone() }).collect();
    rows.sort_by_key(|row| (place(&row.measure), row.measure.events));
    rows
}

/// What is promised of a measure. What is a whole number in truth may be off by a rounding.
fn goal(measure: &Measure) -> Option<Goal> {
    const ROUNDING: f64 = 1e-6;
    let Measure { write_units, read_units, calls, per_second, p50_ms, p99_ms, .. } = *measure;
    let at_most = |number: f64, most: f64| number <= most + ROUNDING;
    let (text, is_met) = match measure.name.as_str() {
        "create" => ("≤ 2.4 write units, 1 call".to_owned(), at_most(write_units, 2.4) && at_most(calls, 1.0)),
        "create_unknown_head" => ("≤ 2.4 write units, 2 calls".to_owned(), at_most(write_units, 2.4) && at_most(calls, 2.0)),
        "batch_20_one_stream" => ("≤ 0.6 write units".to_owned(), at_most(write_units, 0.6)),
        "collect_20" | "sdk_batch_20" => {
            ("≤ 0.75 write units, 1 call for all".to_owned(), at_most(write_units, 0.75) && at_most(calls * 20.0, 1.0))
        }
        "batch_100_one_stream" => ("1 call for all".to_owned(), at_most(calls * 100.0, 1.0)),
        "get" => ("1 call and 1 for the outcome".to_owned(), at_most(calls, 2.0)),
        "query_type_time_1000" => ("≤ 60 read units".to_owned(), at_most(read_units, 60.0)),
        "projection_cold" if measure.events == 10_000 => ("< 300 ms".to_owned(), p99_ms < 300.0),
        "projection_warm" => ("2 calls, no write units".to_owned(), at_most(calls, 2.0) && at_most(write_units, 0.0)),
        "replay_dry_run" => ("< 500 ms".to_owned(), p50_ms < 500.0),
        "process" => ("≤ 1.1 write units".to_owned(), at_most(write_units, 1.1)),
        "deliver" => ("no write units".to_owned(), at_most(write_units, 0.0)),
        "created_to_processed_100" | "created_to_delivered_100" | "created_to_delivered_in_order_100" | "created_to_nats_100" => {
            ("p50 and p99 < 150 ms here, < 1 s anywhere".to_owned(), p99_ms < 150.0)
        }
        "create_http_32" => ("> 1000 /s".to_owned(), per_second > 1000.0),
        "statistics" => {
            let Beside { events, p50_ms: least } = measure.beside?;
            let times = p50_ms / least;
            (format!("p50 ≤ 1.2 × that at {}; is {times:.2} ×", size(events)), at_most(times, 1.2))
        }
        _ => return None,
    };
    Some(Goal { text, is_met })
}

/// `1 k`, `1 M`.
fn size(events: u32) -> String {
    match events {
        0 => "empty".to_owned(),
        1_000_000.. if events.is_multiple_of(1_000_000) => format!("{} M", events / 1_000_000),
        1000.. if events.is_multiple_of(1000) => format!("{} k", events / 1000),
        _ => events.to_string(),
    }
}

/// The tables: what operations cost when called, how fast they are through HTTP, and what follows from them.
pub(crate) fn tables(rows: &[Row], in_colour: bool) -> String {
    let mut text = String::new();
    for part in Part::ALL {
        let of_part: Vec<&Row> = rows.iter().filter(|row| row.measure.part == part).collect();
        if of_part.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        table(&mut text, part.title(), &of_part, in_colour);
    }
    let missed = rows.iter().filter_map(|row| row.goal.as_ref()).filter(|goal| !goal.is_met).count();
    let goals = rows.iter().filter(|row| row.goal.is_some()).count();
    // Writing to a string does not fail.
    writeln!(
        text,
        "\n{} of {goals} goals are met. Units, calls and rates are per event or per call; times are of a request.",
        goals - missed
    )
    .unwrap_or_default();
    text
}

fn table(text: &mut String, title: &str, rows: &[&Row], in_colour: bool) {
    let style = |style: Style| if in_colour { style } else { Style::new() };
    let (bold, dim) = (style(Style::new().bold()), style(Style::new().dimmed()));
    let (good, bad) = (style(AnsiColor::Green.on_default()), style(AnsiColor::Red.on_default().bold()));
    let head = format!(
        "{title:<34}{:>6}  {:<8}{:>9}{:>9}{:>9}{:>10}{:>10}{:>10}  goal",
        "store", "per", "write u.", "read u.", "calls", "/s", "p50 ms", "p99 ms"
    );
    let mut before = "";
    writeln!(text, "{bold}{head}{bold:#}").unwrap_or_default();
    for Row { measure, goal } in rows {
        let name = if measure.name == before { "" } else { &measure.name };
        before = &measure.name;
        let per_second = if measure.per_second < 100.0 {
            format!("{:.1}", measure.per_second)
        } else {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and far below 2^64")]
            let whole = measure.per_second.round() as u64;
            HumanCount(whole).to_string()
        };
        let goal = goal.as_ref().map_or(String::new(), |goal| {
            let (style, sign) = if goal.is_met { (good, '✓') } else { (bad, '✗') };
            format!("  {style}{sign} {}{style:#}", goal.text)
        });
        writeln!(
            text,
            "{name:<34}{:>6}  {dim}{:<8}{dim:#}{:>9}{:>9}{:>9}{per_second:>10}{:>10.2}{:>10.2}{goal}",
            size(measure.events),
            word(measure.per),
            short(measure.write_units),
            short(measure.read_units),
            short(measure.calls),
            measure.p50_ms,
            measure.p99_ms,
        )
        .unwrap_or_default();
    }
}

/// A number with as many digits as tell it from others.
fn short(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let text = if number < 1.0 { format!("{number:.3}") } else { format!("{number:.2}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(name: &str, events: u32, per: Per) -> Measure {
        let name = name.to_owned();
        Measure {
            part: Part::Called,
            name,
            events,
            per,
            write_units: 0.2,
            read_units: 0.0,
            calls: 0.01,
            per_second: 1234.4,
            p50_ms: 2.0,
            beside: None,
            p99_ms: 3.5,
        }
    }

    #[test]
    fn rows_are_ordered_by_operation_as_measured_and_then_by_size() {
        let measures = [("b", 1000), ("a", 1000), ("b", 20_000), ("a", 20_000)].map(|(name, events)| measure(name, events, Per::Call));
        let order: Vec<(String, u32)> = rows(&measures).into_iter().map(|row| (row.measure.name, row.measure.events)).collect();
        let expected = [("b", 1000), ("b", 20_000), ("a", 1000), ("a", 20_000)];
        assert_eq!(order, expected.map(|(name, events)| (name.to_owned(), events)));
    }

    #[test]
    fn a_goal_that_is_missed_is_shown_as_missed() {
        let met = |measure: &Measure| goal(measure).unwrap().is_met;
        let create = measure("create", 1000, Per::Event(1));
        assert!(met(&Measure { write_units: 2.4, calls: 1.0, ..create.clone() }));
        assert!(!met(&Measure { write_units: 2.5, calls: 1.0, ..create.clone() }));
        assert!(!met(&Measure { write_units: 2.0, calls: 1.1, ..create }));
        assert!(!met(&Measure { calls: 0.02, ..measure("batch_100_one_stream", 1000, Per::Event(100)) }));
        assert!(!met(&Measure { per_second: 1000.0, ..measure("create_http_32", 1000, Per::Event(1)) }));
        let text = tables(&rows(&[measure("batch_20_one_stream", 1000, Per::Event(20)), measure("create", 1000, Per::Event(1))]), false);
        assert!(text.contains("✓ ≤ 0.6 write units") && text.contains("2 of 2 goals are met"), "{text}");
    }

    #[test]
    fn each_part_that_was_measured_has_a_table() {
        let called = measure("create", 1000, Per::Event(1));
        let after = Measure { part: Part::After, p99_ms: 151.0, ..measure("created_to_delivered_100", 0, Per::Event(1)) };
        let text = tables(&rows(&[called, after]), false);
        let tables: Vec<&str> =
            text.lines().filter(|line| line.contains("write u.")).map(|line| line.split("  ").next().unwrap()).collect();
        assert_eq!(tables, ["called", "after the answer"]);
        assert!(text.contains("✗ p50 and p99 < 150 ms") && text.contains(" empty "), "{text}");
    }

    #[test]
    fn statistics_are_held_against_those_of_the_smallest_store_at_the_same_time() {
        let statistics = |p50_ms, beside| Measure { p50_ms, beside, ..measure("statistics", 1_000_000, Per::Call) };
        let beside = Some(Beside { events: 1000, p50_ms: 1.0 });
        assert_eq!(goal(&statistics(1.3, None)), None);
        assert!(goal(&statistics(1.2, beside)).unwrap().is_met);
        let missed = goal(&statistics(1.3, beside)).unwrap();
        assert_eq!((missed.text.as_str(), missed.is_met), ("p50 ≤ 1.2 × that at 1 k; is 1.30 ×", false));
    }

    #[test]
    fn a_row_in_the_file_has_the_promised_fields() {
        let row = &rows(&[measure("batch_20_one_stream", 20_000, Per::Event(20))])[0];
        let expected = serde_json::json!({
            "name": "batch_20_one_stream", "events": 20_000, "per": "event", "write_units": 0.2, "read_units": 0.0, "calls": 0.01,
            "per_second": 1234.4, "p50_ms": 2.0, "p99_ms": 3.5, "goal": "≤ 0.6 write units", "met": true,
        });
        assert_eq!(serde_json::to_value(row).unwrap(), expected);
    }
}
