//! The tables of the queues, and what is done to them within one transaction.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::domain::queue::{Outgoing, Queue, Receipt, Received, WorkQueue};
use crate::domain::timestamp::Timestamp;

/// The most messages of one receive, here and in SQS.
const MOST_RECEIVED: usize = 10;

/// How long a FIFO queue remembers what it has taken.
const DEDUPLICATION: Duration = Duration::from_mins(5);

/// A message that goes to the dead letters gets a new place there, and keeps its id.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS messages (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        id INTEGER,
        queue TEXT NOT NULL,
        in_group TEXT,
        body TEXT NOT NULL,
        sent_at INTEGER NOT NULL,
        visible_at INTEGER NOT NULL,
        receives INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX IF NOT EXISTS messages_by_time ON messages (queue, visible_at, place) WHERE in_group IS NULL;
    CREATE INDEX IF NOT EXISTS messages_by_group ON messages (queue, in_group, place) WHERE in_group IS NOT NULL;
    CREATE TABLE IF NOT EXISTS groups (
        queue TEXT NOT NULL,
        name TEXT NOT NULL,
        oldest INTEGER NOT NULL,
        visible_at INTEGER NOT NULL,
        PRIMARY KEY (queue, name)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS groups_by_age ON groups (queue, oldest);
    CREATE TABLE IF NOT EXISTS taken (
        queue TEXT NOT NULL,
        deduplication TEXT NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (queue, deduplication)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS taken_by_time ON taken (until);";

/// A message that was never handed out is hidden by its delay alone.
const SHOW_MESSAGES: &str = "UPDATE messages SET visible_at = ?1 WHERE receives > 0 AND visible_at > ?1";
/// What a FIFO queue hides has been handed out: it has no delays.
const SHOW_GROUPS: &str = "UPDATE groups SET visible_at = ?1 WHERE visible_at > ?1";

const INSERT: &str = "INSERT INTO messages (queue, in_group, body, sent_at, visible_at) VALUES (?1, ?2, ?3, ?4, ?5)";
const FORGET_TAKEN: &str = "DELETE FROM taken WHERE until <= ?1";
const TAKE_ONCE: &str = "INSERT INTO taken (queue, deduplication, until) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
const OPEN_GROUP: &str = "INSERT INTO groups (queue, name, oldest, visible_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";

const FIRST_VISIBLE: &str = "SELECT place, coalesce(id, place), body, in_group, receives, sent_at FROM messages
    WHERE queue = ?1 AND in_group IS NULL AND visible_at <= ?2 ORDER BY visible_at, place LIMIT ?3";
const VISIBLE_GROUPS: &str = "SELECT name FROM groups WHERE queue = ?1 AND visible_at <= ?2 ORDER BY oldest LIMIT ?3";
const FIRST_OF_GROUP: &str = "SELECT place, coalesce(id, place), body, in_group, receives, sent_at FROM messages
    WHERE queue = ?1 AND in_group = ?2 ORDER BY place LIMIT ?3";
const HAND_OUT: &str = "UPDATE messages SET receives = receives + 1, visible_at = ?2 WHERE place = ?1";
const COPY: &str = "INSERT INTO messages (id, queue, in_group, body, sent_at, visible_at, receives)
    SELECT coalesce(id, place), ?2, in_group, body, sent_at, ?3, receives FROM messages WHERE place = ?1";
const DELETE: &str = "DELETE FROM messages WHERE place = ?1";
const HIDE_HANDED_OUT: &str = "UPDATE messages SET visible_at = ?4 WHERE queue = ?1 AND place = ?2 AND receives = ?3 RETURNING in_group";
const DELETE_HANDED_OUT: &str = "DELETE FROM messages WHERE queue = ?1 AND place = ?2 AND receives = ?3 RETURNING in_group";

/// Those of a group that are hidden were handed out together, and are its oldest.
const GROUP: &str = "SELECT min(place), max(visible_at) FROM
    (SELECT place, visible_at FROM messages WHERE queue = ?1 AND in_group = ?2 ORDER BY place LIMIT ?3)";
const SAVE_GROUP: &str = "INSERT OR REPLACE INTO groups (queue, name, oldest, visible_at) VALUES (?1, ?2, ?3, ?4)";
const CLOSE_GROUP: &str = "DELETE FROM groups WHERE queue = ?1 AND name = ?2";

const MESSAGES: &str = "SELECT count(*) FROM messages WHERE queue = ?1 AND in_group IS NULL";
const MESSAGES_OF_GROUPS: &str = "SELECT count(*) FROM messages WHERE queue = ?1 AND in_group IS NOT NULL";
const OLDEST: &str = "SELECT min(sent_at) FROM messages WHERE queue = ?1 AND in_group IS NULL";
const OLDEST_OF_GROUPS: &str = "SELECT min(sent_at) FROM messages WHERE queue = ?1 AND in_group IS NOT NULL";
const NEXT_MESSAGE: &str = "SELECT min(visible_at) FROM messages WHERE queue = ?1 AND in_group IS NULL";
/// Where this is of interest, all groups wait, and they are few.
const NEXT_GROUP: &str = "SELECT min(visible_at) FROM groups WHERE queue = ?1";

/// Makes the tables that are missing, and shows what was hidden because somebody had received it.
pub(super) fn prepare(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    connection.execute(SHOW_MESSAGES, [now.micros()])?;
    connection.execute(SHOW_GROUPS, [now.micros()])?;
    Ok(())
}

/// Puts messages into a queue.
pub(super) fn send(transaction: &Transaction<'_>, queue: &Queue, messages: &[Outgoing], now: Timestamp) -> rusqlite::Result<()> {
    let key = key(queue);
    if queue.is_fifo() {
        transaction.prepare_cached(FORGET_TAKEN)?.execute([now.micros()])?;
    }
    let mut insert = transaction.prepare_cached(INSERT)?;
    for Outgoing { body, delay, order } in messages {
        let group = order.as_ref().map(|order| &order.group);
        if let Some(order) = order {
            let until = later(now, DEDUPLICATION);
            if transaction.prepare_cached(TAKE_ONCE)?.execute(params![key, order.deduplication, until])? == 0 {
                continue;
            }
        }
        let place = insert.insert(params![key, group, body, now.micros(), later(now, *delay)])?;
        if let Some(group) = group {
            transaction.prepare_cached(OPEN_GROUP)?.execute(params![key, group, place, now.micros()])?;
        }
    }
    Ok(())
}

/// What a receive did.
pub(super) struct Handed {
    /// What was handed out.
    pub(super) received: Vec<Received>,
    /// How many messages went to the dead letters.
    pub(super) dead: usize,
}

/// Hands messages out, and hides them until a moment.
pub(super) fn receive(
    transaction: &Transaction<'_>,
    queue: &Queue,
    most: usize,
    now: Timestamp,
    hidden_for: Duration,
) -> rusqlite::Result<Handed> {
    let key = key(queue);
    let most = most.clamp(1, MOST_RECEIVED);
    let until = later(now, hidden_for);
    let grave = Grave::of(queue, now);
    let mut handed = Handed { received: Vec::new(), dead: 0 };
    if !queue.is_fifo() {
        let rows = living(transaction, &grave, &mut handed.dead, || rows(transaction, FIRST_VISIBLE, params![key, now.micros(), most]))?;
        hand_out(transaction, rows, until, &mut handed.received)?;
        return Ok(handed);
    }
    // If every message of these groups goes to the dead letters, there may be others behind them.
    while handed.received.is_empty() {
        let groups = names(transaction, &key, now, most)?;
        if groups.is_empty() {
            break;
        }
        for group in groups {
            let room = most - handed.received.len();
            if room == 0 {
                break;
            }
            let rows = living(transaction, &grave, &mut handed.dead, || rows(transaction, FIRST_OF_GROUP, params![key, group, room]))?;
            hand_out(transaction, rows, until, &mut handed.received)?;
            save_group(transaction, &key, &group)?;
        }
    }
    Ok(handed)
}

/// What became of a message to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// It was gone, or was handed out again since.
    Nothing,
    /// It is gone.
    Gone,
    /// It is gone, and its group has others that may go on.
    GroupGoesOn,
}

/// Removes a message, if this is the receipt of the last time that it was handed out.
pub(super) fn remove(transaction: &Transaction<'_>, queue: &Queue, receipt: &Receipt) -> rusqlite::Result<Removal> {
    let key = key(queue);
    let Some((place, receives)) = read_receipt(receipt) else { return Ok(Removal::Nothing) };
    let removed: Option<Option<String>> =
        transaction.prepare_cached(DELETE_HANDED_OUT)?.query_row(params![key, place, receives], |row| row.get(0)).optional()?;
    match removed {
        None => Ok(Removal::Nothing),
        Some(None) => Ok(Removal::Gone),
        Some(Some(group)) => {
            save_group(transaction, &key, &group)?;
            Ok(Removal::GroupGoesOn)
        }
    }
}

/// Hides a message until then, if this is the receipt of the last time that it was handed out.
pub(super) fn hide(transaction: &Transaction<'_>, queue: &Queue, receipt: &Receipt, until: Timestamp) -> rusqlite::Result<()> {
    let key = key(queue);
    let Some((place, receives)) = read_receipt(receipt) else { return Ok(()) };
    let hidden: Option<Option<String>> = transaction
        .prepare_cached(HIDE_HANDED_OUT)?
        .query_row(params![key, place, receives, until.micros()], |row| row.get(0))
        .optional()?;
    match hidden.flatten() {
        Some(group) => save_group(transaction, &key, &group),
        None => Ok(()),
    }
}

/// How many messages a queue has.
pub(super) fn depth(connection: &Connection, queue: &Queue) -> rusqlite::Result<u64> {
    let count = if queue.is_fifo() { MESSAGES_OF_GROUPS } else { MESSAGES };
    connection.prepare_cached(count)?.query_row([key(queue)], |row| row.get(0))
}

/// When the oldest message of a queue was sent.
pub(super) fn oldest_sent_at(connection: &Connection, queue: &Queue) -> rusqlite::Result<Option<Timestamp>> {
    let oldest = if queue.is_fifo() { OLDEST_OF_GROUPS } else { OLDEST };
    let micros: Option<i64> = connection.prepare_cached(oldest)?.query_row([key(queue)], |row| row.get(0))?;
    Ok(micros.and_then(|micros| Timestamp::from_micros(micros).ok()))
}

/// When the next message of a queue can be seen.
pub(super) fn next_visible_at(connection: &Connection, queue: &Queue) -> rusqlite::Result<Option<Timestamp>> {
    let next = if queue.is_fifo() { NEXT_GROUP } else { NEXT_MESSAGE };
    let micros: Option<i64> = connection.prepare_cached(next)?.query_row([key(queue)], |row| row.get(0))?;
    Ok(micros.map(|micros| Timestamp::from_micros(micros).unwrap_or(Timestamp::MAX)))
}

/// A row of a message that may be handed out.
struct Waiting {
    place: i64,
    id: i64,
    body: String,
    group: Option<String>,
    receives: u32,
    sent_at: i64,
}

impl Waiting {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { place: row.get(0)?, id: row.get(1)?, body: row.get(2)?, group: row.get(3)?, receives: row.get(4)?, sent_at: row.get(5)? })
    }
}

/// Where messages go that were handed out too often: nowhere, unless the queue is one of this service's own.
struct Grave {
    queue: Option<WorkQueue>,
    now: Timestamp,
}

impl Grave {
    const fn of(queue: &Queue, now: Timestamp) -> Self {
        match queue {
            Queue::Work(queue) => Self { queue: Some(*queue), now },
            Queue::DeadLetters(_) | Queue::Named(_) => Self { queue: None, now },
        }
    }

    /// Moves those that are due, and returns how many they were.
    fn bury(&self, transaction: &Transaction<'_>, rows: &[Waiting]) -> rusqlite::Result<usize> {
        let Some(queue) = self.queue else { return Ok(0) };
        let key = key(&Queue::DeadLetters(queue));
        let mut buried = 0;
        for row in rows.iter().filter(|row| row.receives >= queue.most_receives()) {
            let place = transaction.prepare_cached(COPY)?.insert(params![row.place, key, self.now.micros()])?;
            transaction.prepare_cached(DELETE)?.execute([row.place])?;
            if let Some(group) = &row.group {
                transaction.prepare_cached(OPEN_GROUP)?.execute(params![key, group, place, self.now.micros()])?;
            }
            buried += 1;
        }
        Ok(buried)
    }
}

/// The rows that are found once none of them is due for the dead letters.
fn living(
    transaction: &Transaction<'_>,
    grave: &Grave,
    dead: &mut usize,
    find: impl Fn() -> rusqlite::Result<Vec<Waiting>>,
) -> rusqlite::Result<Vec<Waiting>> {
    loop {
        let rows = find()?;
        let buried = grave.bury(transaction, &rows)?;
        if buried == 0 {
            return Ok(rows);
        }
        *dead += buried;
    }
}

fn rows(transaction: &Transaction<'_>, select: &str, parameters: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<Vec<Waiting>> {
    transaction.prepare_cached(select)?.query_map(parameters, Waiting::read)?.collect()
}

fn names(transaction: &Transaction<'_>, key: &str, now: Timestamp, most: usize) -> rusqlite::Result<Vec<String>> {
    transaction.prepare_cached(VISIBLE_GROUPS)?.query_map(params![key, now.micros(), most], |row| row.get(0))?.collect()
}

fn hand_out(transaction: &Transaction<'_>, rows: Vec<Waiting>, until: i64, handed: &mut Vec<Received>) -> rusqlite::Result<()> {
    let mut hand_out = transaction.prepare_cached(HAND_OUT)?;
    for Waiting { place, id, body, group, receives, sent_at } in rows {
        hand_out.execute(params![place, until])?;
        let receives = receives + 1;
        let receipt = Receipt(format!("{place}.{receives}"));
        handed.push(Received { id: id.to_string(), receipt, body, group, receives, sent_at_ms: sent_at.div_euclid(1000) });
    }
    Ok(())
}

/// Writes down how a group stands after some of its messages changed.
fn save_group(transaction: &Transaction<'_>, key: &str, group: &str) -> rusqlite::Result<()> {
    let (oldest, visible_at): (Option<i64>, Option<i64>) =
        transaction.prepare_cached(GROUP)?.query_row(params![key, group, MOST_RECEIVED], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match oldest {
        Some(oldest) => transaction.prepare_cached(SAVE_GROUP)?.execute(params![key, group, oldest, visible_at])?,
        None => transaction.prepare_cached(CLOSE_GROUP)?.execute(params![key, group])?,
    };
    Ok(())
}

/// What [`hand_out`] wrote.
fn read_receipt(receipt: &Receipt) -> Option<(i64, u32)> {
    let (place, receives) = receipt.0.split_once('.')?;
    Some((place.parse().ok()?, receives.parse().ok()?))
}

/// The name of a queue in the tables: a queue of another's is never one of this service's own.
fn key(queue: &Queue) -> String {
    match queue {
        Queue::Work(queue) => format!("work {queue}"),
        Queue::DeadLetters(queue) => format!("dead {queue}"),
        Queue::Named(name) => format!("named {name}"),
    }
}

fn later(now: Timestamp, duration: Duration) -> i64 {
    now.plus_micros(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)).micros()
}
