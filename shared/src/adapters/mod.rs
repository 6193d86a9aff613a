//! The ports, on real things: memory, DynamoDB, the system.

#[cfg(feature = "dynamodb")]
pub mod dynamodb;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod memory;
pub mod system;
