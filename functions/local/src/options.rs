//! What the command line says.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use shared::adapters::dynamodb::table;
use shared::domain::timestamp::Timestamp;

/// The Event Service in one process: an embedded DynamoDB, the same handlers as on AWS Lambda.
#[derive(Debug, Clone, Parser)]
#[command(name = "event-service", version, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// Something else than to serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8230)]
    pub port: u16,
    /// Where events and the development key are kept.
    #[arg(long, default_value = ".data")]
    pub data_dir: PathBuf,
    /// Keep events only as long as the process runs.
    #[arg(long)]
    pub memory: bool,
    /// Whether requests need a credential.
    #[arg(long, value_enum, default_value_t = Auth::On)]
    pub auth: Auth,
    /// How many requests a second one address or one key may send to collectors; 0 for any number.
    #[arg(long, default_value_t = 1000)]
    pub collect_rate: u32,
    /// How many proxies stand before this process, and add the address of who they hear to X-Forwarded-For.
    #[arg(long, default_value_t = 0)]
    pub trusted_proxies: usize,
    /// Archive everything that happened in hours which were over at this moment, once, at the start: 2026-01-01T00:00:00Z.
    /// ARCHIVE_AFTER_DAYS does so every hour with what is older.
    #[arg(long, value_parser = moment)]
    pub archive_until: Option<Timestamp>,
    /// How logs look.
    #[arg(long, value_enum, default_value_t = Log::Text)]
    pub log: Log,
}

/// Something else than to serve.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Print the OpenAPI document.
    Openapi,
    /// Create the table at the endpoint that AWS_ENDPOINT_URL names, or on AWS, unless it exists.
    CreateTable {
        /// The table's name.
        #[arg(long, default_value = table::DEFAULT_NAME)]
        table: String,
    },
}

/// Whether requests need a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// They do, as on AWS.
    On,
    /// Everybody may do everything: for experiments on this machine only.
    Off,
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Log {
    /// For a terminal.
    Text,
    /// For machines.
    Json,
}

/// A date or a time. A bare number is one as well where events are read, but here nobody means the seconds since 1970.
fn moment(text: &str) -> Result<Timestamp, String> {
    if text.trim().parse::<f64>().is_ok() {
        return Err("is a number; a moment is written 2026-01-01T00:00:00Z".to_owned());
    }
    Timestamp::parse(text).map_err(|error| error.to_string())
}
