//! Moments, as clients write them and as answers and keys hold them.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment in UTC, to the microsecond, from the year 1 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

/// The text or number is no moment that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not one of the forms that are read.
    #[error("is not a date and time (RFC 3339, ISO 8601, a date, or a unix number)")]
    Form,
    /// Before the year 1 or after 9999.
    #[error("is outside the years 1 to 9999")]
    Range,
}

/// Microseconds from the start of the year 1 to 1970.
const MICROS_TO_1970: i64 = 62_135_596_800_000_000;
/// Unix numbers below this are seconds (to the year 5138); from it on, milliseconds (from 1973).
const SECONDS_BELOW: f64 = 1e11;
const MICROS_PER_HOUR: i64 = 3_600_000_000;

impl Timestamp {
    /// The moment, cut to whole microseconds.
    ///
    /// # Errors
    /// [`TimestampError::Range`] outside the years 1 to 9999.
    pub fn new(moment: DateTime<Utc>) -> Result<Self, TimestampError> {
        if (1..=9999).contains(&moment.year()) { Self::from_micros(moment.timestamp_micros()) } else { Err(TimestampError::Range) }
    }

    /// The moment `micros` microseconds after 1970.
    ///
    /// # Errors
    /// [`TimestampError::Range`] outside the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Result<Self, TimestampError> {
        DateTime::from_timestamp_micros(micros).filter(|moment| (1..=9999).contains(&moment.year())).map(Self).ok_or(TimestampError::Range)
    }

    /// Reads what clients send: RFC 3339, naive ISO 8601 (taken as UTC), a date, or a unix number
    /// in seconds or milliseconds as text.
    ///
    /// # Errors
    /// [`TimestampError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let text = text.trim();
        if let Ok(number) = text.parse::<f64>() {
            return Self::from_unix_number(number);
        }
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Self::new(moment.with_timezone(&Utc));
        }
        for form in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"] {
            if let Ok(moment) = DateTime::parse_from_str(text, form) {
                return Self::new(moment.with_timezone(&Utc));
            }
        }
        for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
            if let Ok(moment) = NaiveDateTime::parse_from_str(text, form) {
                return Self::new(moment.and_utc());
            }
        }
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| TimestampError::Form)?;
        Self::new(date.and_time(chrono::NaiveTime::MIN).and_utc())
    }

    /// The moment of a unix number: seconds below 10^11, milliseconds from there on.
    ///
    /// # Errors
    /// [`TimestampError`] if it is not finite or out of range.
    pub fn from_unix_number(number: f64) -> Result<Self, TimestampError> {
        if !number.is_finite() {
            return Err(TimestampError::Form);
        }
        let micros = if number.abs() < SECONDS_BELOW { number * 1e6 } else { number * 1e3 };
        if micros.abs() > 3e17 {
            return Err(TimestampError::Range);
        }
        #[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
        Self::from_micros(micros.round() as i64)
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    /// Milliseconds since 1970, rounded down.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn second(self) -> i64 {
        self.0.timestamp()
    }

    /// The same moment cut to whole milliseconds, which is what an event id keeps.
    #[must_use]
    pub fn whole_millis(self) -> Self {
        Self(DateTime::from_timestamp_millis(self.millis()).unwrap_or(self.0))
    }

    /// Eighteen digits that sort as text the way the moments sort in time.
    #[must_use]
    pub fn sort_key(self) -> String {
        format!("{:018}", self.micros() + MICROS_TO_1970)
    }

    /// Reads what [`Timestamp::sort_key`] wrote.
    #[must_use]
    pub fn from_sort_key(digits: &str) -> Option<Self> {
        Self::from_micros(digits.parse::<i64>().ok()?.checked_sub(MICROS_TO_1970)?).ok()
    }

    /// The moment so much later; [`Timestamp::MAX`] at most.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        self.plus_micros(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
    }

    /// How long after `earlier` the moment is; nothing if it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<std::time::Duration> {
        u64::try_from(self.micros() - earlier.micros()).ok().map(std::time::Duration::from_micros)
    }

    /// The moment `micros` later, or the end of time.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.micros().saturating_add(micros)).unwrap_or(if micros < 0 { Self::MIN } else { Self::MAX })
    }

    /// The first moment that can be kept.
    pub const MIN: Self = Self(match NaiveDate::from_ymd_opt(1, 1, 1) {
        Some(date) => date.and_time(chrono::NaiveTime::MIN).and_utc(),
        None => DateTime::<Utc>::MIN_UTC,
    });

    /// The start of the last second that can be kept.
    pub const MAX: Self = Self(match DateTime::from_timestamp_micros(253_402_300_799_999_999) {
        Some(moment) => moment,
        None => DateTime::<Utc>::MAX_UTC,
    });

    /// The hour that holds this moment.
    #[must_use]
    pub const fn hour(self) -> Hour {
        Hour((self.micros() + MICROS_TO_1970).div_euclid(MICROS_PER_HOUR))
    }

    /// The moment as chrono has it, for calendars.
    #[must_use]
    pub const fn to_chrono(self) -> DateTime<Utc> {
        self.0
    }
}

impl std::fmt::Display for Timestamp {
    /// RFC 3339 in UTC with `Z` and microseconds.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl std::fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// One hour of the calendar, in UTC: the unit of the counters, and the most that a commit spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    /// The first moment of the hour.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_micros(self.0 * MICROS_PER_HOUR - MICROS_TO_1970).unwrap_or(Timestamp::MIN)
    }

    /// The last moment of the hour.
    #[must_use]
    pub fn end(self) -> Timestamp {
        self.start().plus_micros(MICROS_PER_HOUR - 1)
    }

    /// The day that holds the hour.
    #[must_use]
    pub const fn day(self) -> Day {
        Day(self.0.div_euclid(24))
    }

    /// The hour after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The hour before this one, unless time begins with it.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        (self > Timestamp::MIN.hour()).then_some(Self(self.0 - 1))
    }

    /// Reads `yyyymmddhh`.
    #[must_use]
    pub fn from_digits(digits: &str) -> Option<Self> {
        let (day, hour) = digits.split_at_checked(8)?;
        let hour: i64 = hour.parse().ok().filter(|hour| (0..24).contains(hour))?;
        Some(Self(Day::from_digits(day)?.0 * 24 + hour))
    }
}

impl std::fmt::Display for Hour {
    /// `yyyymmddhh`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}{:02}", self.day(), self.0.rem_euclid(24))
    }
}

/// One day of the calendar, in UTC: the bucket of the time index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The first hour of the day.
    #[must_use]
    pub const fn first_hour(self) -> Hour {
        Hour(self.0 * 24)
    }

    /// The last hour of the day.
    #[must_use]
    pub const fn last_hour(self) -> Hour {
        Hour(self.0 * 24 + 23)
    }

    /// The day before this one.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0 - 1)
    }

    /// The day after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Reads `yyyymmdd`.
    #[must_use]
    pub fn from_digits(digits: &str) -> Option<Self> {
        let date = NaiveDate::parse_from_str(digits, "%Y%m%d").ok()?;
        Some(Timestamp::new(date.and_time(chrono::NaiveTime::MIN).and_utc()).ok()?.hour().day())
    }

    /// The Monday of the week that holds this day.
    #[must_use]
    pub fn monday(self) -> Self {
        let weekday = self.first_hour().start().to_chrono().weekday().num_days_from_monday();
        Self(self.0 - i64::from(weekday))
    }

    /// The first day of the month that holds this day.
    #[must_use]
    pub fn first_of_month(self) -> Self {
        Self(self.0 - i64::from(self.first_hour().start().to_chrono().day0()))
    }
}

impl std::fmt::Display for Day {
    /// `yyyymmdd`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = self.first_hour().start().to_chrono();
        write!(formatter, "{:04}{:02}{:02}", start.year(), start.month(), start.day())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_clients_send_is_read_as_utc() {
        for (sent, kept) in [
            ("2026-11-23T10:11:12.345678Z", "2026-11-23T10:11:12.345678Z"),
            ("2026-11-23T10:11:12+05:30", "2026-11-23T04:41:12.000000Z"),
            ("2026-11-23T10:11:12+0530", "2026-11-23T04:41:12.000000Z"),
            ("2026-11-23 10:11:12Z", "2026-11-23T10:11:12.000000Z"),
            ("2026-11-23T10:11:12.5", "2026-11-23T10:11:12.500000Z"),
            ("2026-11-23 10:11", "2026-11-23T10:11:00.000000Z"),
            ("2026-11-23", "2026-11-23T00:00:00.000000Z"),
            ("1763892672", "2025-11-23T10:11:12.000000Z"),
            ("1763892672345", "2025-11-23T10:11:12.345000Z"),
            ("0001-01-01", "0001-01-01T00:00:00.000000Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp::parse(sent).map(|moment| moment.to_string()), Ok(kept.to_owned()), "{sent}");
        }
        for sent in ["", "yesterday", "2026-13-01", "NaN", "inf", "1e300", "10000-01-01T00:00:00Z", "-99999999999999999"] {
            assert!(Timestamp::parse(sent).is_err(), "{sent}");
        }
    }

    #[test]
    fn sort_keys_sort_as_the_moments_do_and_read_back() {
        let moments = ["0001-01-01", "1969-12-31T23:59:59.999999", "1970-01-01", "2026-11-23T10:11:12.5", "9999-12-31"];
        let keys: Vec<String> = moments.iter().filter_map(|text| Timestamp::parse(text).ok()).map(Timestamp::sort_key).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        for (text, key) in moments.iter().zip(&keys) {
            assert_eq!(Timestamp::from_sort_key(key), Timestamp::parse(text).ok());
        }
    }

    #[test]
    fn hours_and_days_print_and_read_back() {
        for text in ["0001-01-01T00:30", "1969-12-31T23:59:59", "2026-11-23T10:11:12"] {
            let Ok(moment) = Timestamp::parse(text) else { panic!("{text}") };
            let hour = moment.hour();
            assert_eq!(Hour::from_digits(&hour.to_string()), Some(hour));
            assert_eq!(Day::from_digits(&hour.day().to_string()), Some(hour.day()));
            assert!(hour.start() <= moment && moment <= hour.end());
        }
        let day = Day::from_digits("20261123").unwrap_or(Day(0));
        assert_eq!(day.monday().to_string(), "20261123");
        assert_eq!(day.first_of_month().to_string(), "20261101");
        assert_eq!(Day::from_digits("20261122").unwrap_or(Day(0)).monday().to_string(), "20261116");
    }
}
