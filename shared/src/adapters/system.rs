//! The operating system's clock and randomness.

use crate::domain::timestamp::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::random::Random;

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
