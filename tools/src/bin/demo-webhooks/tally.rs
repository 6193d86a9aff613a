//! Whether all has arrived, and in its order.

use std::collections::{BTreeMap, BTreeSet};

use tools::receiver::Signature;

use crate::receiver::Arrival;
use crate::screen::Screen;

/// What should have arrived of a stream, and what has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StreamTally {
    /// The stream.
    pub(crate) stream: String,
    /// How many events it has.
    pub(crate) events: u64,
    /// The versions, in the order in which they arrived first.
    pub(crate) arrived: Vec<u64>,
    /// How often any of them was sent.
    pub(crate) attempts: u64,
}

impl StreamTally {
    fn is_whole(&self) -> bool {
        self.arrived.iter().copied().eq(1..=self.events)
    }
}

/// What has arrived in all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// By stream.
    pub(crate) streams: Vec<StreamTally>,
    /// How many arrivals were of an event that had arrived before.
    pub(crate) again: usize,
    /// How many were not signed as they should be.
    pub(crate) unsigned: usize,
}

impl Tally {
    /// Holds what has arrived against how many events each stream has; `failed` says how often events were sent in vain.
    pub(crate) fn new(streams: &[(&str, u64)], arrivals: &[Arrival], failed: &BTreeMap<String, u64>) -> Self {
        let mut seen = BTreeSet::new();
        let first: Vec<&Arrival> = arrivals.iter().filter(|arrival| seen.insert(&arrival.delivery)).collect();
        let tally = |(stream, events): &(&str, u64)| {
            let of_stream = || arrivals.iter().filter(|arrival| arrival.event.stream_id == *stream);
            let ids: BTreeSet<&str> = of_stream().map(|arrival| arrival.event.event_id.as_str()).collect();
            let in_vain: u64 = ids.iter().filter_map(|id| failed.get(*id)).sum();
            StreamTally {
                stream: (*stream).to_owned(),
                events: *events,
                arrived: first.iter().filter(|one| one.event.stream_id == *stream).map(|one| one.event.stream_version).collect(),
                attempts: of_stream().count() as u64 + in_vain,
            }
        };
        Self {
            streams: streams.iter().map(tally).collect(),
            again: arrivals.len() - first.len(),
            unsigned: arrivals.iter().filter(|arrival| arrival.signature != Signature::Good).count(),
        }
    }

    /// How many events there are.
    fn events(&self) -> u64 {
        self.streams.iter().map(|stream| stream.events).sum()
    }

    /// Whether every event has arrived, signed, after all that came before it in its stream.
    pub(crate) fn is_whole(&self) -> bool {
        self.unsigned == 0 && self.streams.iter().all(StreamTally::is_whole)
    }

    /// Shows the table and the verdict.
    pub(crate) fn show(&self, screen: &Screen) {
        let width = self.streams.iter().map(|stream| versions(stream).len()).max().unwrap_or_default().max(8);
        screen.line(screen.strong(format!("{:<16}{:<width$}  {:>8}", "stream", "versions", "attempts")));
        for stream in &self.streams {
            let text = format!("{:<width$}", versions(stream));
            let text = if stream.is_whole() { screen.good(text) } else { screen.bad(text) };
            screen.line(format!("{:<16}{text}  {:>8}", stream.stream, stream.attempts));
        }
        if self.again > 0 {
            screen.line(screen.doubtful(format!("{} came twice, which the webhook-id tells", self.again)));
        }
        println!();
        if self.is_whole() {
            screen.line(screen.good(format!("✓ all {} events arrived, in order, none missing", self.events())));
        } else {
            let arrived: usize = self.streams.iter().map(|stream| stream.arrived.len()).sum();
            let text = format!(
                "✗ {arrived} of {} events arrived, {}; {} not signed as they should be",
                self.events(),
                if self.streams.iter().all(|stream| stream.arrived.is_sorted()) { "in order" } else { "not in order" },
                self.unsigned
            );
            screen.line(screen.bad(text));
        }
    }
}

fn versions(stream: &StreamTally) -> String {
    stream.arrived.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::ReceivedEvent;

    fn arrival(stream: &str, version: u64) -> Arrival {
        let event = ReceivedEvent {
            event_id: format!("{stream}/{version}"),
            event_type: "a".to_owned(),
            stream_id: stream.to_owned(),
            stream_version: version,
        };
        Arrival { at: String::new(), delivery: format!("to {stream}/{version}"), signature: Signature::Good, event }
    }

    fn tally(versions: &[u64]) -> Tally {
        let arrivals: Vec<Arrival> = versions.iter().map(|version| arrival("order:1", *version)).collect();
        Tally::new(&[("order:1", 3)], &arrivals, &BTreeMap::from([("order:1/2".to_owned(), 4)]))
    }

    #[test]
    fn all_events_in_their_order_are_whole_and_nothing_else_is() {
        for (versions, whole) in [
            (vec![1, 2, 3], true),
            (vec![1, 2, 2, 3], true),
            (vec![1, 2, 1, 3], true),
            (vec![1, 3, 2], false),
            (vec![1, 2], false),
            (vec![2, 3], false),
            (vec![], false),
            (vec![1, 2, 3, 4], false),
        ] {
            assert_eq!(tally(&versions).is_whole(), whole, "{versions:?}");
        }
        let unsigned = Arrival { signature: Signature::Wrong, ..arrival("order:1", 1) };
        assert!(!Tally::new(&[("order:1", 1)], &[unsigned], &BTreeMap::new()).is_whole());
    }

    #[test]
    fn attempts_are_arrivals_and_what_was_sent_in_vain() {
        let tally = tally(&[1, 2, 2, 3]);
        assert_eq!((tally.streams[0].attempts, tally.again), (8, 1));
        assert_eq!(tally.streams[0].arrived, [1, 2, 3]);
    }
}
