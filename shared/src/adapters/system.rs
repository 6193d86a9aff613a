//! The operating system's clock and randomness, and waiting.

#[cfg(feature = "timer")]
use async_trait::async_trait;

use crate::domain::timestamp::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::random::Random;
#[cfg(feature = "timer")]
use crate::ports::timer::Timer;

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::new(chrono::Utc::now()).unwrap_or(Timestamp::MIN)
    }
}

/// The system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        #[expect(clippy::expect_used, reason = "a system without randomness can do nothing safely")]
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        bytes
    }

    fn number(&self) -> u64 {
        let bytes = self.secret();
        bytes.iter().take(8).fold(0, |bits, byte| (bits << 8) | u64::from(*byte))
    }
}

/// Waits by the system's clock.
#[cfg(feature = "timer")]
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemTimer;

#[cfg(feature = "timer")]
#[async_trait]
impl Timer for SystemTimer {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that waits for a time of day")]
    async fn wait_until(&self, moment: Timestamp) {
        // The clock may be set while one waits, so it has the last word.
        while let Some(left) = moment.since(SystemClock.now()) {
            tokio::time::sleep(left.clamp(SHORTEST_WAIT, LONGEST_WAIT)).await;
        }
    }
}

/// The runtime's resolution.
#[cfg(feature = "timer")]
const SHORTEST_WAIT: std::time::Duration = std::time::Duration::from_millis(1);
/// After how long the clock is looked at again.
#[cfg(feature = "timer")]
const LONGEST_WAIT: std::time::Duration = std::time::Duration::from_mins(1);
