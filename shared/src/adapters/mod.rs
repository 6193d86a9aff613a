//! The ports, on real things: memory, DynamoDB, the system.

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "webhook")]
pub mod consul;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "embedded")]
pub mod embedded_queues;
#[cfg(feature = "eventbridge")]
pub mod eventbridge;
#[cfg(feature = "embedded")]
pub mod folder;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod memory;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "sealing")]
pub mod sealing;
#[cfg(feature = "sqs")]
pub mod sqs;
pub mod system;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "webhook")]
pub mod webhook;
