//! What a program with an event store is asked to do, and what it answers.
//!
//! Each store runs in a process of its own, whatever it is written in. It is started with the path of a file that holds payloads, a JSON
//! array of objects of a kilobyte, as its last argument. Then each line of its input is a [`Job`], and each line of its output is the
//! [`Answer`] to it.

use serde::{Deserialize, Serialize};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Task {
    /// Create the tables; all else of the job is without a meaning.
    Create,
    /// Append events: each operation is `batch` of them at the end of one stream, all or none, after what is there already.
    Append,
    /// Read whole streams: each operation is one of them, which must have `events` events.
    Read,
}

/// A job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    /// What to do.
    pub(crate) task: Task,
    /// Where DynamoDB is.
    pub(crate) endpoint: String,
    /// What the names of the streams begin with; `-` and a number from 0 follow.
    pub(crate) streams: String,
    /// How many streams the operations take turns at.
    pub(crate) stream_count: usize,
    /// How many operations are under way at once.
    pub(crate) writers: usize,
    /// How many events an append has.
    pub(crate) batch: usize,
    /// How many operations there are in all.
    pub(crate) operations: usize,
    /// How many events a stream has that is read.
    pub(crate) events: usize,
}

/// How a job went.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// It did not.
    Failed {
        /// Why.
        error: String,
    },
    /// It is done.
    Done {
        /// How long each operation took, retries included, in microseconds.
        times_us: Vec<u64>,
        /// How long all of them took together.
        seconds: f64,
    },
}

impl Job {
    /// The tables.
    pub(crate) fn create(endpoint: &str) -> Self {
        Self::at(Task::Create, endpoint, "")
    }

    /// One writer that appends so many events at a time to one stream.
    pub(crate) fn append(endpoint: &str, streams: &str, batch: usize, operations: usize) -> Self {
        Self { batch, operations, ..Self::at(Task::Append, endpoint, streams) }
    }

    /// Reading a stream of so many events again and again.
    pub(crate) fn read(endpoint: &str, streams: &str, events: usize, operations: usize) -> Self {
        Self { operations, events, ..Self::at(Task::Read, endpoint, streams) }
    }

    /// The same by so many at once, who take turns at so many streams.
    pub(crate) fn by(self, writers: usize, stream_count: usize) -> Self {
        Self { stream_count, writers, ..self }
    }

    fn at(task: Task, endpoint: &str, streams: &str) -> Self {
        let (endpoint, streams) = (endpoint.to_owned(), streams.to_owned());
        Self { task, endpoint, streams, stream_count: 1, writers: 1, batch: 1, operations: 0, events: 0 }
    }

    /// The stream of an operation.
    pub(crate) fn stream(&self, operation: usize) -> String {
        format!("{}-{}", self.streams, operation % self.stream_count.max(1))
    }
}
