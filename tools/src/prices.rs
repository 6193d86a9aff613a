//! What AWS asks, in dollars: list prices of us-east-1 without volume discounts. Check them before relying on a figure.

/// A million write units of DynamoDB, on demand.
pub const WRITE_UNITS_MILLION: f64 = 0.625;
/// A million read units of DynamoDB, on demand.
pub const READ_UNITS_MILLION: f64 = 0.125;
/// A provisioned write unit a second, for an hour.
pub const PROVISIONED_WRITE_UNIT_HOUR: f64 = 0.000_65;
/// A GB of a table or an index, a month.
pub const TABLE_GB_MONTH: f64 = 0.25;
/// A GB of a table with point-in-time recovery, a month; indexes are not counted.
pub const RECOVERY_GB_MONTH: f64 = 0.20;

/// A second of a GB of memory on arm64.
pub const LAMBDA_ARM64_GB_SECOND: f64 = 0.000_013_333_4;
/// A second of a GB of memory on x86_64.
pub const LAMBDA_X86_64_GB_SECOND: f64 = 0.000_016_666_7;
/// A million calls of functions.
pub const LAMBDA_CALLS_MILLION: f64 = 0.20;

/// A million requests, of 512 KB at most each, to an HTTP API.
pub const API_REQUESTS_MILLION: f64 = 1.00;

/// A million calls of SQS, of up to ten messages each.
pub const SQS_CALLS_MILLION: f64 = 0.40;
/// The same for a FIFO queue.
pub const SQS_FIFO_CALLS_MILLION: f64 = 0.50;

/// A million custom events, of 64 KB at most each, put on a bus.
pub const BUS_EVENTS_MILLION: f64 = 1.00;
/// A GB put into an archive of a bus.
pub const ARCHIVE_GB: f64 = 0.10;
/// A GB kept in an archive of a bus, a month.
pub const ARCHIVE_STORAGE_GB_MONTH: f64 = 0.023;

/// A GB of objects on S3, a month.
pub const OBJECTS_GB_MONTH: f64 = 0.023;
/// A million objects put on S3.
pub const OBJECTS_PUT_MILLION: f64 = 5.00;
/// A million reads of objects on S3.
pub const OBJECTS_READ_MILLION: f64 = 0.40;

/// A GB of logs taken in.
pub const LOGS_GB: f64 = 0.50;
/// A metric that an alarm looks at, a month.
pub const ALARM_MONTH: f64 = 0.10;
/// A custom metric, a month.
pub const METRIC_MONTH: f64 = 0.30;
/// A dashboard, a month, after the account's first three.
pub const DASHBOARD_MONTH: f64 = 3.00;

/// A GB sent to the internet, after the account's first 100 a month.
pub const TRANSFER_GB: f64 = 0.09;

/// What an account gets without pay each month, for good. The HTTP API's million is left out: it ends after a year.
pub mod free {
    /// Calls of functions.
    pub const LAMBDA_CALLS: f64 = 1_000_000.0;
    /// Seconds of a GB of memory.
    pub const LAMBDA_GB_SECONDS: f64 = 400_000.0;
    /// Calls of SQS, FIFO or not.
    pub const SQS_CALLS: f64 = 1_000_000.0;
    /// Metrics that alarms look at.
    pub const ALARMS: f64 = 10.0;
    /// Custom metrics.
    pub const METRICS: f64 = 10.0;
    /// Dashboards.
    pub const DASHBOARDS: f64 = 3.0;
    /// GB of logs.
    pub const LOGS_GB: f64 = 5.0;
}
