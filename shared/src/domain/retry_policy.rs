//! When something that failed is tried again.

use std::time::Duration;

use serde_json::Value;

use super::json::JsonObject;

/// How long to wait after each failed attempt. After the last wait there is one more attempt, and then none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy(Vec<Duration>);

/// A part of `retry_policy` cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicyProblem {
    /// Which member.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl RetryPolicy {
    /// The most retries.
    pub const MAX_RETRIES: usize = 50;
    /// The longest wait.
    pub const MAX_DELAY: Duration = Duration::from_hours(24);

    /// The policy of webhook subscriptions that name none: seven retries within 28 hours.
    #[must_use]
    pub fn of_webhooks() -> Self {
        Self([5, 300, 1_800, 7_200, 18_000, 36_000, 36_000].map(Duration::from_secs).to_vec())
    }

    /// The policy of processors that name none: three retries within 13 minutes.
    #[must_use]
    pub fn of_processors() -> Self {
        Self([10, 60, 700].map(Duration::from_secs).to_vec())
    }

    /// Reads a policy in any of the forms that clients send: `backoff_seconds` (a list, or one number), or `initial_delay_ms`,
    /// `backoff_multiplier` and `max_delay_ms`; each with `max_retries`. What is not given is as in `default`.
    ///
    /// # Errors
    /// Everything that cannot be understood.
    pub fn parse(policy: &JsonObject, default: &Self) -> Result<Self, Vec<RetryPolicyProblem>> {
        let value = policy.to_value();
        let mut problems = Vec::new();
        let retries = number(&value, "max_retries", &mut problems).map(|retries| {
            if retries.fract() != 0.0 || retries > precise(Self::MAX_RETRIES) {
                problems.push(wrong("max_retries", format!("must be a whole number from 0 to {}", Self::MAX_RETRIES)));
            }
            whole(retries)
        });
        let listed = listed(&value, &mut problems);
        let initial = number(&value, "initial_delay_ms", &mut problems);
        let multiplier = number(&value, "backoff_multiplier", &mut problems);
        let most = number(&value, "max_delay_ms", &mut problems);
        if multiplier.is_some_and(|multiplier| multiplier < 1.0) {
            problems.push(wrong("backoff_multiplier", "must be 1 or more".to_owned()));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let delays = match listed {
            Some(delays) => delays,
            None if initial.is_some() || multiplier.is_some() || most.is_some() => {
                let (initial, multiplier) = (initial.unwrap_or(1_000.0), multiplier.unwrap_or(2.0));
                let most = most.unwrap_or(f64::MAX).min(Self::MAX_DELAY.as_secs_f64() * 1_000.0);
                let delay = |retry: usize| initial * multiplier.powi(i32::try_from(retry).unwrap_or(i32::MAX));
                let retries = retries.unwrap_or(default.0.len());
                (0..retries).map(|retry| Duration::from_secs_f64(delay(retry).min(most) / 1_000.0)).collect()
            }
            None => default.0.clone(),
        };
        Ok(Self(fitted(delays, retries)))
    }

    /// How long to wait after the attempt of this number (from 1) has failed, or nothing if it was the last.
    #[must_use]
    pub fn delay_after(&self, attempt: u32) -> Option<Duration> {
        self.0.get(usize::try_from(attempt).ok()?.checked_sub(1)?).copied()
    }

    /// How many retries there are.
    #[must_use]
    pub const fn retries(&self) -> usize {
        self.0.len()
    }

    /// The time from the first attempt to the last, if all fail at once.
    #[must_use]
    pub fn span(&self) -> Duration {
        self.0.iter().sum()
    }

    /// The same, with no wait longer than this.
    #[must_use]
    pub fn at_most(mut self, longest: Duration) -> Self {
        for delay in &mut self.0 {
            *delay = (*delay).min(longest);
        }
        self
    }
}

/// How long to wait after this attempt, from 1: so long after the first, and twice as long each time, but no longer than `longest`.
#[must_use]
pub fn doubled(first: Duration, attempt: u32, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(longest)
}

/// Up to a tenth more or less than a delay, so that what failed together is not tried again together.
///
/// `random` is any number.
#[must_use]
pub fn with_jitter(delay: Duration, random: u64) -> Duration {
    let share = 0.9 + 0.2 * (precise(usize::try_from(random % 10_000).unwrap_or_default()) / 10_000.0);
    delay.mul_f64(share)
}

/// So many delays: the last one again and again if there are fewer.
fn fitted(mut delays: Vec<Duration>, retries: Option<usize>) -> Vec<Duration> {
    if let Some(retries) = retries {
        let last = delays.last().copied().unwrap_or(Duration::from_secs(5));
        delays.resize(retries, last);
    }
    delays
}

fn wrong(field: &'static str, message: String) -> RetryPolicyProblem {
    RetryPolicyProblem { field, message }
}

/// A number that is not negative, as a number or as a text.
fn number(value: &Value, field: &'static str, problems: &mut Vec<RetryPolicyProblem>) -> Option<f64> {
    let given = value.get(field).filter(|given| !given.is_null())?;
    let number = as_number(given);
    if number.is_none() {
        problems.push(wrong(field, "must be a number that is not negative".to_owned()));
    }
    number
}

fn as_number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

fn listed(value: &Value, problems: &mut Vec<RetryPolicyProblem>) -> Option<Vec<Duration>> {
    const FIELD: &str = "backoff_seconds";
    let items: Vec<&Value> = match value.get(FIELD)? {
        Value::Null => return None,
        Value::Array(items) => items.iter().collect(),
        one @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => vec![one],
    };
    if items.len() > RetryPolicy::MAX_RETRIES {
        problems.push(wrong(FIELD, format!("must have at most {} items", RetryPolicy::MAX_RETRIES)));
        return None;
    }
    let mut delays = Vec::with_capacity(items.len());
    for item in items {
        match as_number(item).filter(|seconds| *seconds <= RetryPolicy::MAX_DELAY.as_secs_f64()) {
            Some(seconds) => delays.push(Duration::from_secs_f64(seconds)),
            None => {
                problems.push(wrong(FIELD, format!("{item} is not a number of seconds from 0 to {}", RetryPolicy::MAX_DELAY.as_secs())));
            }
        }
    }
    Some(delays)
}

#[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
const fn precise(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the number is whole, small and not negative")]
const fn whole(number: f64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn seconds(policy: &Value) -> Vec<f64> {
        let policy = RetryPolicy::parse(&JsonObject::parse(&policy.to_string()).unwrap(), &RetryPolicy::of_webhooks()).unwrap();
        (1..).map_while(|attempt| policy.delay_after(attempt)).map(|delay| delay.as_secs_f64()).collect()
    }

    #[test]
    fn every_form_that_clients_send_is_read() {
        for (policy, expected) in [
            (json!({}), vec![5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0]),
            (json!({"max_retries": 2}), vec![5.0, 300.0]),
            (json!({"max_retries": 0}), vec![]),
            (json!({"backoff_seconds": [1, 5, 30]}), vec![1.0, 5.0, 30.0]),
            (json!({"max_retries": 5, "backoff_seconds": [1, 0.5]}), vec![1.0, 0.5, 0.5, 0.5, 0.5]),
            (json!({"max_retries": 1, "backoff_seconds": [1, 5, 30]}), vec![1.0]),
            (json!({"max_retries": "3", "backoff_seconds": "2"}), vec![2.0, 2.0, 2.0]),
            (json!({"max_retries": 4, "initial_delay_ms": 500, "backoff_multiplier": 2, "max_delay_ms": 1500}), vec![0.5, 1.0, 1.5, 1.5]),
            (json!({"initial_delay_ms": 100, "max_retries": 2}), vec![0.1, 0.2]),
            (json!({"max_retries": null, "anything": 1}), vec![5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0]),
        ] {
            assert_eq!(seconds(&policy), expected, "{policy}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_reported_together() {
        let policy = json!({"max_retries": 99, "backoff_seconds": [1, -1], "initial_delay_ms": "x", "backoff_multiplier": 0.5});
        let problems = RetryPolicy::parse(&JsonObject::parse(&policy.to_string()).unwrap(), &RetryPolicy::of_webhooks()).unwrap_err();
        let fields: Vec<&str> = problems.iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["max_retries", "backoff_seconds", "initial_delay_ms", "backoff_multiplier"]);
    }

    proptest! {
        #[test]
        fn whatever_numbers_a_policy_holds_its_waits_are_bounded(initial in 0.0..1e300_f64, multiplier in 1.0..1e300_f64, retries in 0..50_usize, random in any::<u64>()) {
            let policy = json!({"initial_delay_ms": initial, "backoff_multiplier": multiplier, "max_retries": retries});
            let policy = RetryPolicy::parse(&JsonObject::parse(&policy.to_string()).unwrap(), &RetryPolicy::of_webhooks()).unwrap();
            prop_assert_eq!(policy.retries(), retries);
            for attempt in 1..=u32::try_from(retries).unwrap() {
                let delay = policy.delay_after(attempt).unwrap();
                prop_assert!(delay <= RetryPolicy::MAX_DELAY);
                let jittered = with_jitter(delay, random);
                prop_assert!(jittered >= delay.mul_f64(0.89) && jittered <= delay.mul_f64(1.11));
            }
            prop_assert_eq!(policy.delay_after(0), None);
        }
    }
}
