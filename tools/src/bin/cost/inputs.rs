//! What the model is fed with besides the template: what was measured, and what is assumed for want of a measurement.

// ---- Measured: `make bench`, docs/performance.md. Units are exact.

/// `create`: write units of a 1 KB event in its user's stream.
pub(crate) const CREATE_WRITE_UNITS: f64 = 2.0;
/// `create_other_entity`: the same with one index more.
pub(crate) const CREATE_OTHER_ENTITY_WRITE_UNITS: f64 = 3.0;
/// `batch_20_one_stream`: write units an event. Its orders resemble each other, so this is the lower end.
pub(crate) const BATCH_WRITE_UNITS: f64 = 0.2;
/// `batch_20_one_stream`: the goal that the bench holds it to, which is the upper end.
pub(crate) const BATCH_WRITE_UNITS_GOAL: f64 = 0.6;
/// `collect`: write units of an event of a page that has a message id: it is stored and noted in one transaction, which counts double.
pub(crate) const COLLECT_WRITE_UNITS: f64 = 5.0;
/// `collect_20`, `sdk_batch_20`: write units an event, of a page's own and of an SDK's.
pub(crate) const COLLECT_BATCH_WRITE_UNITS: [f64; 2] = [0.25, 0.45];
/// `count_1`, `count_100`, `count_500`: how many records the counters get at a time, and the write and read units of an event, as the
/// mean of the three sizes. The bench's events are of a week and of several organizations; those of one hour touch fewer counters.
pub(crate) const COUNTED: [Counted; 3] = [
    Counted { records: 1.0, write_units: 8.38, read_units: 5.3 },
    Counted { records: 100.0, write_units: 0.518, read_units: 0.335 },
    Counted { records: 500.0, write_units: 0.237, read_units: 0.161 },
];
/// `process`: write units of a commit's outcome.
pub(crate) const PROCESS_WRITE_UNITS: f64 = 1.0;
/// `process`: read units of a commit.
pub(crate) const PROCESS_READ_UNITS: f64 = 4.0;
/// `deliver`: read units of a delivery that goes well at once.
pub(crate) const DELIVER_READ_UNITS: f64 = 5.0;
/// `statistics`: read units, at a million events; the sweep asks for them each time.
pub(crate) const STATISTICS_READ_UNITS: f64 = 4.0;

/// `make bench-peers`: write units an event of a kilobyte, of this service and of others.
pub(crate) const OTHER_STORES: [OtherStore; 5] = [
    OtherStore { name: "this service", single: 2.0, ten: 0.2 },
    OtherStore { name: "castore", single: 1.0, ten: 2.0 },
    OtherStore { name: "dynamo-es", single: 4.0, ten: 4.0 },
    OtherStore { name: "transactional outbox, three small indexes", single: 11.0, ten: 9.2 },
    OtherStore { name: "literal port, six indexes", single: 20.0, ten: 18.2 },
];

/// What writing takes of a store.
pub(crate) struct OtherStore {
    /// What it is.
    pub(crate) name: &'static str,
    /// Write units of an event that is appended alone.
    pub(crate) single: f64,
    /// Write units of each of ten that are appended together.
    pub(crate) ten: f64,
}

/// `tests/contract/price.rs`: what archiving takes and leaves of an event of a kilobyte that is alone in its commit, and of one of a
/// hundred that resemble each other.
pub(crate) const ARCHIVED: [Archived; 2] = [
    Archived { events: 1.0, bytes: 509.0, left: 192.0, packed: 50.0, write_units: 2.0 },
    Archived { events: 100.0, bytes: 4573.0, left: 200.0, packed: 4363.0, write_units: 12.0 },
];

/// What was measured of archiving a commit.
pub(crate) struct Archived {
    /// How many events it has.
    pub(crate) events: f64,
    /// The bytes of its item.
    pub(crate) bytes: f64,
    /// Those that are left of it.
    pub(crate) left: f64,
    /// Its bytes in the archive.
    pub(crate) packed: f64,
    /// Write units.
    pub(crate) write_units: f64,
}

/// One line of what was measured of counting.
pub(crate) struct Counted {
    /// How many records come at a time.
    pub(crate) records: f64,
    /// Write units of a record.
    pub(crate) write_units: f64,
    /// Read units of a record.
    pub(crate) read_units: f64,
}

// ---- From the code.

/// The most calls' worth of messages in one call of SQS.
pub(crate) const SQS_MESSAGES_A_CALL: f64 = 10.0;
/// Commits in an object of the archive, where there are so many in an hour (`archive::COMMITS_AN_OBJECT`).
pub(crate) const COMMITS_AN_OBJECT: f64 = 2000.0;
/// Events in one message to `deliver-webhooks` (`DeliverWork::MAX_EVENTS`).
pub(crate) const DELIVERIES_A_MESSAGE: f64 = 20.0;
/// Custom metrics that the sweep writes though all is well: PendingEvents, FailedEvents, TotalEvents, ErrorRate, TodayOfYesterday.
pub(crate) const METRICS: f64 = 5.0;
/// Those of them that no alarm and no widget of the template names: ErrorRate.
pub(crate) const UNUSED_METRICS: f64 = 1.0;
/// Seconds for which `authorize` remembers a key.
pub(crate) const KEY_REMEMBERED_SECONDS: f64 = 5.0;

// ---- Assumed: times on AWS, which nobody has measured. Functions wait for DynamoDB, whose calls take some milliseconds there.

/// Milliseconds of `authorize`, which mostly finds the key in its memory.
pub(crate) const AUTHORIZE_MS: f64 = 2.0;
/// Milliseconds of `record-events` for a request: one call of DynamoDB and the JSON.
pub(crate) const RECORD_MS: f64 = 10.0;
/// Milliseconds more for each event of a batch.
pub(crate) const RECORD_EVENT_MS: f64 = 0.2;
/// Milliseconds of `count-events` for an invocation: reads and saves of counters, side by side.
pub(crate) const COUNT_MS: f64 = 25.0;
/// Milliseconds more for each event in it.
pub(crate) const COUNT_EVENT_MS: f64 = 0.2;
/// Milliseconds of `dispatch-events` for an invocation that has nothing to send: one read.
pub(crate) const DISPATCH_MS: f64 = 8.0;
/// Milliseconds more if it sends to queues or the bus.
pub(crate) const DISPATCH_SEND_MS: f64 = 15.0;
/// Read units of `dispatch-events` for an invocation: whether definitions have changed.
pub(crate) const DISPATCH_READ_UNITS: f64 = 1.0;
/// Milliseconds of `process-events` for a message: five calls of DynamoDB, and a processor that takes no time of its own.
pub(crate) const PROCESS_MS: f64 = 25.0;
/// Milliseconds more for each event of a batch.
pub(crate) const PROCESS_EVENT_MS: f64 = 1.0;
/// Write units of the outcome of a batch of twenty, which is between one and two KB.
pub(crate) const PROCESS_BATCH_WRITE_UNITS: f64 = 2.0;
/// Milliseconds of `deliver-webhooks` for an invocation: its reads, and a receiver that answers within a tenth of a second.
pub(crate) const DELIVER_MS: f64 = 120.0;
/// Milliseconds more for each delivery beyond the first: many are under way at once.
pub(crate) const DELIVER_MORE_MS: f64 = 15.0;
/// Milliseconds of `sweep`: some ten calls of DynamoDB and three of SQS.
pub(crate) const SWEEP_MS: f64 = 150.0;
/// Read units of `sweep` besides the statistics, while nothing waits.
pub(crate) const SWEEP_READ_UNITS: f64 = 4.0;
/// Bytes of the line with the metrics that each sweep logs.
pub(crate) const SWEEP_LINE_BYTES: f64 = 700.0;
/// One invocation in so many starts a sandbox.
pub(crate) const INVOCATIONS_A_START: f64 = 100.0;
/// Milliseconds of a start, which are billed.
pub(crate) const START_MS: f64 = 100.0;

// ---- Assumed: how AWS behaves. Not verified.

/// Shards of the table's stream, as many as the table has partitions: a new table on demand begins with four.
pub(crate) const STREAM_SHARDS: f64 = 4.0;
/// Seconds between two looks of Lambda at a shard.
pub(crate) const STREAM_POLL_SECONDS: f64 = 0.25;
/// Lambda's pollers of an idle queue.
pub(crate) const QUEUE_POLLERS: f64 = 5.0;
/// Polls of each of them in a minute: they wait for twenty seconds.
pub(crate) const POLLS_A_MINUTE: f64 = 3.0;
/// What part of the messages that were sent together is received together.
pub(crate) const RECEIVED_TOGETHER: f64 = 0.5;
/// Bytes that CloudWatch adds to each line of a log.
pub(crate) const LOG_LINE_OVERHEAD_BYTES: f64 = 26.0;
/// Bytes of an event of 1 KB on the bus.
pub(crate) const BUS_EVENT_BYTES: f64 = 1_700.0;
/// Bytes of an answer on the wire besides its events: headers, and what TLS adds.
pub(crate) const ANSWER_BYTES: f64 = 600.0;
/// Bytes of a recorded event in an answer.
pub(crate) const ANSWER_EVENT_BYTES: f64 = 1_400.0;
/// Bytes of an event's id in an answer.
pub(crate) const ANSWER_ID_BYTES: f64 = 40.0;
/// Bytes of a delivery on the wire, with headers, signature and what TLS adds.
pub(crate) const DELIVERY_BYTES: f64 = 2_500.0;
/// What part of provisioned capacity is used, with automatic scaling.
pub(crate) const PROVISIONED_USE: f64 = 0.7;
/// Bytes that DynamoDB adds to each item and each row of an index (its documentation says so).
pub(crate) const ITEM_OVERHEAD_BYTES: f64 = 100.0;
