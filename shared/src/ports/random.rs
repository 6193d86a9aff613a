//! Randomness.

/// Gives random bits.
pub trait Random: Send + Sync {
    /// 256 bits that nobody can guess.
    fn secret(&self) -> [u8; 32];

    /// 64 bits that are hardly ever given twice.
    fn number(&self) -> u64;
}
