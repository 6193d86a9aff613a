//! What is told: a table for each workload, and a file of numbers.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;
use tools::charts::{self, ChartError, Group, Words};
use tools::percentile_ms;

use crate::contender::{Done, Store};
use crate::meter::Usage;
use crate::workload::Workload;

/// One store at one workload.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The workload's name.
    pub(crate) workload: &'static str,
    /// The store's name.
    pub(crate) store: &'static str,
    /// Events a second: the median of the rounds.
    pub(crate) events_per_second: f64,
    /// How many times as many those are as this service's, if that was measured as well.
    pub(crate) times_ours: Option<f64>,
    /// The median time of an operation.
    pub(crate) p50_ms: f64,
    /// The time that 99 of 100 operations do not exceed.
    pub(crate) p99_ms: f64,
    /// Write units for each event.
    pub(crate) write_units_per_event: f64,
    /// Read units for each operation.
    pub(crate) read_units: f64,
    /// Calls of DynamoDB for each operation.
    pub(crate) calls: f64,
    /// How many of them were refused.
    pub(crate) refused_calls: f64,
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
const fn float(number: usize) -> f64 {
    number as f64
}

impl Row {
    /// The row of what was measured: units of one run, times of several.
    pub(crate) fn of(workload: Workload, store: Store, usage: Usage, counted: usize, rounds: &[Done]) -> Self {
        let per_operation = workload.events_per_operation();
        let mut times: Vec<Duration> = rounds.iter().flat_map(|round| &round.times).copied().collect();
        times.sort_unstable();
        // All rounds have as many operations.
        let events = float(times.len() * per_operation / rounds.len().max(1));
        let mut took: Vec<Duration> = rounds.iter().map(|round| round.took).collect();
        took.sort_unstable();
        let operations = float(counted.max(1));
        Self {
            workload: workload.name(),
            store: store.name(),
            events_per_second: events * 1e3 / percentile_ms(&took, 50).max(1e-6),
            times_ours: None,
            p50_ms: percentile_ms(&times, 50),
            p99_ms: percentile_ms(&times, 99),
            write_units_per_event: usage.write_units / operations / float(per_operation),
            read_units: usage.read_units / operations,
            calls: f64::from(usage.calls) / operations,
            refused_calls: f64::from(usage.refused) / operations,
        }
    }
}

/// Says of each row how it compares with this service's.
pub(crate) fn compare(rows: &mut [Row]) {
    let ours: Vec<(&str, f64)> =
        rows.iter().filter(|row| row.store == Store::Ours.name()).map(|row| (row.workload, row.events_per_second)).collect();
    for row in rows {
        let ours = ours.iter().find(|(workload, _)| *workload == row.workload);
        row.times_ours = ours.map(|(_, ours)| row.events_per_second / ours.max(1e-9));
    }
}

/// The tables, one for each workload.
pub(crate) fn tables(rows: &[Row], in_colour: bool) -> String {
    let (bold, green) =
        if in_colour { (Style::new().bold(), Style::new().fg_color(Some(AnsiColor::Green.into()))) } else { (Style::new(), Style::new()) };
    let mut out = String::new();
    for workload in Workload::ALL {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.workload == workload.name()).collect();
        if rows.is_empty() {
            continue;
        }
        let best = rows.iter().map(|row| row.events_per_second).fold(0.0, f64::max);
        let heads = ["events/s", "× ours", "p50 ms", "p99 ms", "write/event", "read/op", "calls/op", "refused/op"];
        let _ = write!(out, "\n{bold}{:<24}", workload.name());
        for head in heads {
            let _ = write!(out, "{head:>13}");
        }
        let _ = writeln!(out, "{bold:#}   {}", workload.description());
        for row in rows {
            let style = if row.events_per_second >= best { green } else { Style::new() };
            let _ = writeln!(
                out,
                "{:<24}{style}{:>13.0}{style:#}{:>13}{:>13.2}{:>13.2}{:>13.3}{:>13.1}{:>13.2}{:>13.2}",
                row.store,
                row.events_per_second,
                row.times_ours.map(|times| format!("{times:.2}")).unwrap_or_default(),
                row.p50_ms,
                row.p99_ms,
                row.write_units_per_event,
                row.read_units,
                row.calls,
                row.refused_calls
            );
        }
    }
    out
}

/// Draws how many events a second each store does, by workload.
pub(crate) fn draw(folder: &Path, rows: &[Row]) -> Result<(), ChartError> {
    let stores: Vec<&str> = Store::ALL.iter().map(|store| store.name()).filter(|name| rows.iter().any(|row| row.store == *name)).collect();
    let group = |workload: &Workload| Group {
        name: workload.name().to_owned(),
        bars: stores
            .iter()
            .map(|store| {
                rows.iter().find(|row| row.workload == workload.name() && row.store == *store).map_or(0.0, |row| row.events_per_second)
            })
            .collect(),
    };
    let groups: Vec<Group> = Workload::ALL.iter().map(group).collect();
    let words =
        Words { title: "Events a second, each store on an embedded DynamoDB of its own", across: "", up: "events a second, logarithmic" };
    charts::bars(&folder.join("peers.svg"), words, &stores, &groups)
}
