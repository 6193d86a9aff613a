//! Queues in a file or in memory, for one process: what SQS does, by a clock that tests can move.
//!
//! One table holds the messages of every queue, another the groups of the FIFO queues: which message is a group's oldest, and
//! until when the group waits for one that was handed out. So a receive looks at as many rows as it hands out, however
//! many wait behind them.

mod tables;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, Transaction};
use thiserror::Error;
use tokio::sync::Notify;

use self::tables::Removal;
use crate::domain::queue::{Outgoing, Queue, Receipt, Received};
use crate::domain::timestamp::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::queue::{QueueError, QueueReceiver, QueueSender};

/// The SQLite file, in the folder of a [`QueuesLocation`].
const QUEUES_FILE: &str = "queues.sqlite";

/// How many statements stay prepared: all of them.
const PREPARED: usize = 32;

/// Where the queues are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueuesLocation {
    /// The file `queues.sqlite` in this folder; both are created if absent.
    Folder(PathBuf),
    /// Nowhere: they are gone with the last clone of the value.
    Memory,
}

/// Why the queues could not be opened.
#[derive(Debug, Error)]
pub enum EmbeddedQueuesError {
    /// Another process, or another value in this one, has the folder open.
    #[error("the queues in {} are already in use by another process; stop it, or choose another folder", folder.display())]
    InUse {
        /// The folder asked for.
        folder: PathBuf,
    },
    /// The folder could not be created.
    #[error("could not create the folder {}", folder.display())]
    Folder {
        /// The folder asked for.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// SQLite refused or failed.
    #[error("the file of the queues failed")]
    File(#[from] rusqlite::Error),
}

/// Every queue of a process. Clones share them. A process that is killed loses nothing that
/// [`send`](QueueSender::send) has answered.
#[derive(Clone)]
pub struct EmbeddedQueues {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Mutex<Connection>,
    arrivals: Mutex<HashMap<Queue, Arc<Notify>>>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for EmbeddedQueues {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EmbeddedQueues").finish_non_exhaustive()
    }
}

impl EmbeddedQueues {
    /// Opens the queues at `location`. Messages that were handed out before can be seen again, because
    /// nobody is dealing with them any more; delays stay.
    ///
    /// # Errors
    /// [`EmbeddedQueuesError::InUse`] if the folder is open elsewhere, other variants if it cannot be opened.
    pub fn open(location: QueuesLocation, clock: Arc<dyn Clock>) -> Result<Self, EmbeddedQueuesError> {
        let connection = match location {
            QueuesLocation::Memory => Connection::open_in_memory()?,
            QueuesLocation::Folder(folder) => claim(folder)?,
        };
        connection.set_prepared_statement_cache_capacity(PREPARED);
        tables::prepare(&connection, clock.now())?;
        Ok(Self { inner: Arc::new(Inner { connection: Mutex::new(connection), arrivals: Mutex::default(), clock }) })
    }

    /// Waits until there may be something to receive that was not there before: something was sent, or a group goes on.
    /// Returns at once if that has happened since somebody last waited, and sometimes for nothing.
    ///
    /// It wakes one of those who wait; [`receive`](QueueReceiver::receive) wakes the next if there may be more. Nobody is
    /// woken when a delay ends, or when time is up for a message that was handed out: [`Self::next_visible_at`] says when.
    pub async fn arrival(&self, queue: &Queue) {
        self.arrivals(queue).notified().await;
    }

    /// When the next message of a queue can be seen, as things are: in the past if one can be seen
    /// already, none if the queue is empty.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] if the file fails.
    pub fn next_visible_at(&self, queue: &Queue) -> Result<Option<Timestamp>, QueueError> {
        tables::next_visible_at(&self.connection(), queue).map_err(|error| unavailable(queue, error))
    }

    /// When the oldest message of a queue was sent, whether it can be seen or not; none if the queue is empty.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] if the file fails.
    pub fn oldest_sent_at(&self, queue: &Queue) -> Result<Option<Timestamp>, QueueError> {
        tables::oldest_sent_at(&self.connection(), queue).map_err(|error| unavailable(queue, error))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.inner.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrivals(&self, queue: &Queue) -> Arc<Notify> {
        let mut arrivals = self.inner.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(arrival) = arrivals.get(queue) {
            return Arc::clone(arrival);
        }
        Arc::clone(arrivals.entry(queue.clone()).or_default())
    }

    /// Does something wholly or not at all.
    fn transact<T>(&self, queue: &Queue, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, QueueError> {
        let mut connection = self.connection();
        let done = connection.transaction().and_then(|transaction| {
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        done.map_err(|error| unavailable(queue, error))
    }
}

#[async_trait]
impl QueueSender for EmbeddedQueues {
    async fn send(&self, queue: &Queue, messages: &[Outgoing]) -> Result<(), QueueError> {
        let mut refused = messages.iter().filter_map(|message| queue.takes(message).err());
        if let Some(first) = refused.next() {
            let (failed, reason) = (1 + refused.count(), first.to_string());
            return Err(QueueError::Refused { queue: queue.to_string(), failed, of: messages.len(), reason });
        }
        let now = self.inner.clock.now();
        self.transact(queue, |transaction| tables::send(transaction, queue, messages, now))?;
        self.arrivals(queue).notify_one();
        Ok(())
    }
}

#[async_trait]
impl QueueReceiver for EmbeddedQueues {
    async fn receive(&self, queue: &Queue, most: usize, hidden_for: Duration) -> Result<Vec<Received>, QueueError> {
        let now = self.inner.clock.now();
        let handed = self.transact(queue, |transaction| tables::receive(transaction, queue, most, now, hidden_for))?;
        if !handed.received.is_empty() {
            self.arrivals(queue).notify_one();
        }
        match queue {
            Queue::Work(work) if handed.dead > 0 => self.arrivals(&Queue::DeadLetters(*work)).notify_one(),
            Queue::Work(_) | Queue::DeadLetters(_) | Queue::Named(_) => {}
        }
        Ok(handed.received)
    }

    async fn remove(&self, queue: &Queue, receipt: &Receipt) -> Result<(), QueueError> {
        match self.transact(queue, |transaction| tables::remove(transaction, queue, receipt))? {
            Removal::Nothing | Removal::Gone => {}
            Removal::GroupGoesOn => self.arrivals(queue).notify_one(),
        }
        Ok(())
    }

    async fn hide(&self, queue: &Queue, receipt: &Receipt, hidden_for: Duration) -> Result<(), QueueError> {
        let until = self.inner.clock.now().plus(hidden_for);
        self.transact(queue, |transaction| tables::hide(transaction, queue, receipt, until))?;
        // Whoever waits looks when it is due.
        self.arrivals(queue).notify_one();
        Ok(())
    }

    async fn depth(&self, queue: &Queue) -> Result<u64, QueueError> {
        tables::depth(&self.connection(), queue).map_err(|error| unavailable(queue, error))
    }
}

/// Opens the file of a folder for this value alone. SQLite's lock goes with the process, however that ends.
fn claim(folder: PathBuf) -> Result<Connection, EmbeddedQueuesError> {
    if let Err(source) = fs::create_dir_all(&folder) {
        return Err(EmbeddedQueuesError::Folder { folder, source });
    }
    let connection = Connection::open(folder.join(QUEUES_FILE))?;
    let set_up = || {
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // With a write-ahead log, a commit is in the operating system's hands before it is answered, and outlives the process.
        connection.pragma_update(None, "synchronous", "NORMAL")
    };
    match set_up() {
        Ok(()) => Ok(connection),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Err(EmbeddedQueuesError::InUse { folder }),
        Err(error) => Err(EmbeddedQueuesError::File(error)),
    }
}

fn unavailable(queue: &Queue, error: rusqlite::Error) -> QueueError {
    QueueError::Unavailable { queue: queue.to_string(), source: Box::new(error) }
}
