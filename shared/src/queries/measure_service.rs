//! Measures how the whole service is doing, for whoever watches it (Scenario 8).

use crate::domain::counters::{CounterKey, CounterScope, Period};
use crate::domain::statistics::{Statistics, StatisticsScope};
use crate::domain::timestamp::{Day, Hour, Timestamp};
use crate::ports::clock::Clock;
use crate::ports::counter_store::CounterStore;
use crate::ports::event_reader::EventReader;
use crate::ports::store_error::StoreError;

/// What measuring needs.
#[derive(Clone, Copy)]
pub struct MeasureServicePorts<'a> {
    /// Knows how many events there are.
    pub events: &'a dyn EventReader,
    /// Knows how many of each hour.
    pub counters: &'a dyn CounterStore,
    /// Says when.
    pub clock: &'a dyn Clock,
}

/// How many events two days have until the same hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaysCompared {
    /// Today's, in the hours that have passed.
    pub today: u64,
    /// Yesterday's, in the same hours.
    pub yesterday: u64,
}

impl DaysCompared {
    /// Fewer events than this say nothing of a day: a night of a small service is no failure of collection.
    const FEWEST: u64 = 100;

    /// How many events today has for a hundred of yesterday, unless yesterday had too few to tell.
    #[must_use]
    pub fn percent(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        (self.yesterday >= Self::FEWEST).then(|| self.today as f64 * 100.0 / self.yesterday as f64)
    }
}

/// The statistics of everybody's events.
///
/// # Errors
/// [`StoreError`] if the store does not answer.
pub async fn measure_service(ports: &MeasureServicePorts<'_>) -> Result<Statistics, StoreError> {
    ports.events.statistics(&StatisticsScope::default(), ports.clock.now()).await
}

/// Compares today with yesterday. It reads a counter for each hour of both that has passed: at most 46.
///
/// # Errors
/// [`StoreError`] if the store does not answer.
pub async fn compare_days(ports: &MeasureServicePorts<'_>) -> Result<DaysCompared, StoreError> {
    let now = ports.clock.now();
    let hours = passed_hours(now);
    let (mut today, mut yesterday) = (0, 0);
    let mut then: Hour = now.hour().day().previous().first_hour();
    for hour in hours {
        today += count(ports, hour).await?;
        yesterday += count(ports, then).await?;
        then = then.next();
    }
    Ok(DaysCompared { today, yesterday })
}

/// The hours of today that have passed.
fn passed_hours(now: Timestamp) -> Vec<Hour> {
    let (current, day): (Hour, Day) = (now.hour(), now.hour().day());
    std::iter::successors(Some(day.first_hour()), |hour| Some(hour.next())).take_while(|hour| *hour < current).collect()
}

async fn count(ports: &MeasureServicePorts<'_>, hour: Hour) -> Result<u64, StoreError> {
    let key = CounterKey { scope: CounterScope::All, period: Period::Hour(hour) };
    Ok(ports.counters.tally(&key).await?.0.total())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours_at(text: &str) -> usize {
        passed_hours(Timestamp::parse(text).unwrap()).len()
    }

    #[test]
    fn an_hour_counts_once_it_has_passed() {
        assert_eq!(hours_at("2026-11-25T00:00:00Z"), 0);
        assert_eq!(hours_at("2026-11-25T00:59:59Z"), 0);
        assert_eq!(hours_at("2026-11-25T01:00:00Z"), 1);
        assert_eq!(hours_at("2026-11-25T23:59:59Z"), 23);
    }

    #[test]
    fn a_day_is_compared_only_with_one_that_had_enough() {
        assert_eq!(DaysCompared { today: 0, yesterday: 99 }.percent(), None);
        assert_eq!(DaysCompared { today: 0, yesterday: 100 }.percent(), Some(0.0));
        assert_eq!(DaysCompared { today: 75, yesterday: 300 }.percent(), Some(25.0));
    }
}
