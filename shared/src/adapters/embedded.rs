//! A DynamoDB inside this process, for `make run` and for tests.
//!
//! The emulator keeps its tables in one SQLite file and answers DynamoDB's JSON protocol on a loopback port, so the same
//! AWS SDK client and the same adapters run against it as against AWS. What AWS does around a table is here too: reading
//! its stream in the shape Lambda hands to a function, forgetting records that were read, deleting expired items.
//!
//! The server has a thread and a single-threaded runtime of its own. The emulator runs SQLite on the thread that took the
//! request, under one mutex: on the caller's runtime, requests waiting for that mutex would stop every other task there.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use dynoxide::actions::get_records::{GetRecordsRequest, Record};
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::actions::list_streams::ListStreamsRequest;
use dynoxide::{Database, DynoxideError};
use rusqlite::{Connection, params};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use thiserror::Error;
use tokio::sync::oneshot;

/// The SQLite file, in the folder of a [`DataLocation`].
const DATA_FILE: &str = "events.sqlite";

/// The file whose lock says that a folder is taken. It is not the SQLite file: closing any handle of that one would drop
/// the locks SQLite itself holds on it.
const LOCK_FILE: &str = "events.lock";

/// How long [`EmbeddedDynamo::stop`] waits for requests that were under way.
const GRACE: Duration = Duration::from_secs(5);

/// How long our own connection waits for the emulator to finish a write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Records deleted in one transaction: few, because writes to every table wait for it.
const PRUNE_CHUNK: usize = 200;

/// How long pruning leaves the file to others between two transactions; SQLite's lock is not fair.
const PRUNE_PAUSE: Duration = Duration::from_millis(2);

/// The most records one read of a stream gives, here and in DynamoDB.
const MOST_RECORDS: usize = 1000;

/// The most bytes of records in one batch: Lambda's limit on what a function is sent.
const MOST_BYTES: usize = 6 * 1024 * 1024;

/// What DynamoDB adds to the numbers it stores to make them 21 digits long, in the emulator's public form of them.
const SEQUENCE_OFFSET: u128 = 100_000_000_000_000_000_000;

/// Each write to a table with a stream asks for the largest sequence number, and the emulator has no index for that.
const STREAM_INDEX: &str = "CREATE INDEX IF NOT EXISTS _stream_records_by_sequence \
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// The newest record always stays, because the next sequence number is computed from it.
const PRUNE: &str = "DELETE FROM _stream_records WHERE id IN ( \
    SELECT id FROM _stream_records \
    WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) <= ?2 AND CAST(sequence_number AS INTEGER) < \
        (SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = ?1) \
    ORDER BY CAST(sequence_number AS INTEGER) LIMIT ?3)";

/// Where the embedded tables are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataLocation {
    /// The file `events.sqlite` in this folder; both are created if absent.
    Folder(PathBuf),
    /// A file in a fresh folder, removed when the tables are closed. It is not flushed to disk.
    Temporary,
}

/// Why the embedded tables could not be opened, read or closed.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// Another process, or another value in this one, has the folder open.
    #[error("{} is already in use by another process; stop it, or choose another folder", folder.display())]
    InUse {
        /// The folder asked for.
        folder: PathBuf,
    },
    /// The emulator takes UTF-8 paths only.
    #[error("{} is not a UTF-8 path", folder.display())]
    PathNotUtf8 {
        /// The folder asked for.
        folder: PathBuf,
    },
    /// A file, a thread or a socket could not be had from the operating system.
    #[error("could not {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The emulator refused or failed.
    #[error("the embedded database failed")]
    Database(#[from] DynoxideError),
    /// Our own connection to the SQLite file failed.
    #[error("the embedded database's file failed")]
    File(#[from] rusqlite::Error),
    /// A record of the stream could not be written as JSON.
    #[error("a stream record could not be written as json")]
    Record(#[from] serde_json::Error),
    /// There is no such table, or it has no stream.
    #[error("the table {table} has no stream")]
    NoStream {
        /// The table asked for.
        table: String,
    },
    /// The text was never given out as a sequence number.
    #[error("{sequence} is not a sequence number of a stream")]
    BadSequence {
        /// The text given.
        sequence: String,
    },
    /// The server ended by itself.
    #[error("the embedded server failed: {0}")]
    Server(String),
    /// The server's thread, or one that worked for this call, panicked or was cancelled.
    #[error("the embedded database's thread ended early")]
    Interrupted,
    /// Some requests did not end within the time [`EmbeddedDynamo::stop`] gives them. Everything is closed nevertheless.
    #[error("requests were still under way after {} s and were cut off", GRACE.as_secs())]
    CutOff,
}

/// A DynamoDB served on a loopback port for as long as this value lives.
///
/// Dropping it closes the tables without waiting for requests; [`EmbeddedDynamo::stop`] waits. A process that is killed
/// loses nothing that was acknowledged, and the folder's lock goes with it.
pub struct EmbeddedDynamo {
    endpoint: String,
    // Above `server`, so that when its drop has joined the thread nothing of ours holds the file any more.
    store: Arc<Store>,
    server: Server,
}

impl fmt::Debug for EmbeddedDynamo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EmbeddedDynamo").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl EmbeddedDynamo {
    /// Opens the tables at `location` and serves them.
    ///
    /// # Errors
    /// [`EmbeddedError::InUse`] at once if the folder is open elsewhere; other variants if it cannot be opened or served.
    pub async fn open(location: DataLocation) -> Result<Self, EmbeddedError> {
        let (ready, opened) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("embedded-dynamo".to_owned())
            .spawn(move || run(location, ready, stopped))
            .map_err(|source| EmbeddedError::Io { action: "start a thread", source })?;
        let server = Server { stop: Some(stop), thread: Some(thread) };
        let (endpoint, store) = opened.await.map_err(|_| EmbeddedError::Interrupted)??;
        Ok(Self { endpoint, store, server })
    }

    /// Where it is served, as an endpoint URL for the SDK.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Stops serving: takes no new request, lets those under way end, and closes the tables.
    ///
    /// # Errors
    /// [`EmbeddedError::CutOff`] if requests were still under way after five seconds, [`EmbeddedError::Server`] or
    /// [`EmbeddedError::Interrupted`] if the server had failed before. The tables are closed in every case.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        let Self { store, mut server, .. } = self;
        drop(store);
        tokio::task::spawn_blocking(move || server.finish(Stop::Gracefully)).await.map_err(|_| EmbeddedError::Interrupted)?
    }

    /// Reads the records of `table`'s stream that follow the sequence number `after`, or its oldest ones.
    ///
    /// Gives at most `limit` records, never more than 1000 or than fit what Lambda sends a function. As in DynamoDB, a
    /// write that left its item as it was is not among them. No records means that there are none yet.
    ///
    /// # Errors
    /// [`EmbeddedError::NoStream`] if the table has none, [`EmbeddedError::BadSequence`] if `after` is not a sequence
    /// number, other variants if the file cannot be read.
    pub async fn read_stream(&self, table: &str, after: Option<&str>, limit: usize) -> Result<StreamBatch, EmbeddedError> {
        let (table, after) = (table.to_owned(), after.map(str::to_owned));
        self.blocking(move |store| store.read_stream(&table, after, limit)).await
    }

    /// Forgets `table`'s stream records up to and including `up_to`, but never its newest, and returns how many went.
    ///
    /// # Errors
    /// [`EmbeddedError::BadSequence`] if `up_to` is not a sequence number, [`EmbeddedError::File`] if the file fails.
    pub async fn prune_stream(&self, table: &str, up_to: &str) -> Result<usize, EmbeddedError> {
        let (table, up_to) = (table.to_owned(), stored_sequence(up_to)?);
        self.blocking(move |store| store.prune_stream(&table, up_to)).await
    }

    /// Deletes the items whose time to live has passed, with a stream record each, and returns how many went.
    ///
    /// # Errors
    /// [`EmbeddedError::Database`] if the emulator failed.
    pub async fn sweep_expired(&self) -> Result<usize, EmbeddedError> {
        self.blocking(|store| Ok(store.database.sweep_ttl()?)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, EmbeddedError> + Send + 'static,
    ) -> Result<T, EmbeddedError> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(|_| EmbeddedError::Interrupted)?
    }
}

/// Consecutive records of a table's stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamBatch {
    /// The shard they come from; a table has one here.
    pub shard_id: String,
    /// The stream they come from.
    pub stream_arn: String,
    /// Where to read on: the `after` of the next read. It may move without any record.
    pub last_sequence: Option<String>,
    /// The elements of `Records` in the event a function is sent.
    pub records: Vec<Value>,
}

impl StreamBatch {
    /// The event Lambda sends a function for these records.
    #[must_use]
    pub fn event(&self) -> Value {
        json!({ "Records": self.records })
    }

    /// The event Lambda sends a function that aggregates records over `window`.
    #[must_use]
    pub fn window_event(&self, window: &TumblingWindow) -> Value {
        let timestamp = |instant: DateTime<Utc>| instant.to_rfc3339_opts(SecondsFormat::Secs, true);
        json!({
            "Records": self.records,
            "shardId": self.shard_id,
            "eventSourceARN": self.stream_arn,
            "window": { "start": timestamp(window.start), "end": timestamp(window.end) },
            "state": window.state,
            "isFinalInvokeForWindow": window.stage == WindowStage::Final,
            "isWindowTerminatedEarly": window.stage == WindowStage::EndedEarly,
        })
    }
}

/// The tumbling window one invocation belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TumblingWindow {
    /// When the window begins.
    pub start: DateTime<Utc>,
    /// When the window ends.
    pub end: DateTime<Utc>,
    /// What the previous invocation of the same window returned; empty for the first.
    pub state: Map<String, Value>,
    /// Which invocation of the window this is.
    pub stage: WindowStage,
}

/// Which invocation of a [`TumblingWindow`] is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowStage {
    /// More may follow.
    Running,
    /// The last one.
    Final,
    /// The last one, because the state grew past its limit before the window ended.
    EndedEarly,
}

/// What a stop is asked to do about requests under way.
enum Stop {
    Gracefully,
    AtOnce,
}

/// The thread that serves, joined when this is dropped.
struct Server {
    stop: Option<oneshot::Sender<Stop>>,
    thread: Option<JoinHandle<Result<(), EmbeddedError>>>,
}

impl Server {
    fn finish(&mut self, how: Stop) -> Result<(), EmbeddedError> {
        if let Some(stop) = self.stop.take() {
            // A thread that has already ended hears nothing, and says below why it did.
            stop.send(how).unwrap_or_default();
        }
        self.thread.take().map_or(Ok(()), |thread| thread.join().map_err(|_| EmbeddedError::Interrupted)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.finish(Stop::AtOnce) {
            tracing::warn!(%error, "the embedded database did not close cleanly");
        }
    }
}

/// The open file. Fields close in this order: the emulator, our connection, then the folder and its lock.
struct Store {
    database: Database,
    connection: Mutex<Connection>,
    _home: Home,
}

/// Holds on to what must outlive the open file.
struct Home {
    path: String,
    _lock: Option<File>,
    _temporary: Option<TempDir>,
}

impl Home {
    fn claim(location: DataLocation) -> Result<Self, EmbeddedError> {
        match location {
            DataLocation::Folder(folder) => {
                fs::create_dir_all(&folder).map_err(|source| EmbeddedError::Io { action: "create the data folder", source })?;
                let lock = lock(&folder)?;
                Ok(Self { path: data_file(&folder)?, _lock: Some(lock), _temporary: None })
            }
            DataLocation::Temporary => {
                let folder = tempfile::Builder::new()
                    .prefix("events-")
                    .tempdir()
                    .map_err(|source| EmbeddedError::Io { action: "create a temporary folder", source })?;
                Ok(Self { path: data_file(folder.path())?, _lock: None, _temporary: Some(folder) })
            }
        }
    }
}

/// Takes the folder's lock, which the operating system releases with the process however it ends.
fn lock(folder: &Path) -> Result<File, EmbeddedError> {
    let failed = |source| EmbeddedError::Io { action: "lock the data folder", source };
    let file = File::options().write(true).create(true).truncate(false).open(folder.join(LOCK_FILE)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EmbeddedError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn data_file(folder: &Path) -> Result<String, EmbeddedError> {
    let path = folder.join(DATA_FILE);
    path.to_str().map(str::to_owned).ok_or_else(|| EmbeddedError::PathNotUtf8 { folder: folder.to_owned() })
}

impl Store {
    fn open(location: DataLocation) -> Result<Self, EmbeddedError> {
        let temporary = location == DataLocation::Temporary;
        let home = Home::claim(location)?;
        let database = Database::new(&home.path)?;
        if temporary {
            database.enable_bulk_loading()?;
        } else {
            // Despite its name this is what sets `synchronous` to NORMAL: with a write-ahead log, safe when the process
            // is killed, and several times faster than the emulator's default.
            database.disable_bulk_loading()?;
        }
        let connection = Connection::open(&home.path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "synchronous", if temporary { "OFF" } else { "NORMAL" })?;
        connection.execute_batch(STREAM_INDEX)?;
        Ok(Self { database, connection: Mutex::new(connection), _home: home })
    }

    fn read_stream(&self, table: &str, after: Option<String>, limit: usize) -> Result<StreamBatch, EmbeddedError> {
        if let Some(after) = &after {
            stored_sequence(after)?;
        }
        let streams = self.database.list_streams(ListStreamsRequest { table_name: Some(table.to_owned()), ..Default::default() })?;
        let Some(stream) = streams.streams.into_iter().next() else {
            return Err(EmbeddedError::NoStream { table: table.to_owned() });
        };
        let shard_id = dynoxide::streams::shard_id(table);
        let mut iterator = self
            .database
            .get_shard_iterator(GetShardIteratorRequest {
                stream_arn: stream.stream_arn.clone(),
                shard_id: shard_id.clone(),
                shard_iterator_type: if after.is_some() { "AFTER_SEQUENCE_NUMBER" } else { "TRIM_HORIZON" }.to_owned(),
                sequence_number: after.clone(),
            })?
            .shard_iterator;
        let mut batch = StreamBatch { shard_id, stream_arn: stream.stream_arn, last_sequence: after, records: Vec::new() };
        // Records that are left out may fill a whole page; the next one is read then, so that "no records" means "no more".
        while let Some(shard_iterator) = iterator {
            let limit = Some(limit.clamp(1, MOST_RECORDS));
            let page = self.database.get_records(GetRecordsRequest { shard_iterator, limit })?;
            if page.records.is_empty() {
                break;
            }
            batch.take(page.records)?;
            iterator = if batch.records.is_empty() { page.next_shard_iterator } else { None };
        }
        Ok(batch)
    }

    fn prune_stream(&self, table: &str, up_to: i64) -> Result<usize, EmbeddedError> {
        let mut pruned = 0;
        loop {
            let deleted = {
                let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
                connection.prepare_cached(PRUNE)?.execute(params![table, up_to, PRUNE_CHUNK])?
            };
            pruned += deleted;
            if deleted < PRUNE_CHUNK {
                return Ok(pruned);
            }
            pause();
        }
    }
}

impl StreamBatch {
    /// Adds as many of `records` as fit, without those of writes that changed nothing.
    fn take(&mut self, records: Vec<Record>) -> Result<(), EmbeddedError> {
        let mut bytes = 0;
        for record in records {
            bytes += usize::try_from(record.dynamodb.size_bytes).unwrap_or_default();
            if bytes > MOST_BYTES && !self.records.is_empty() {
                return Ok(());
            }
            self.last_sequence = Some(record.dynamodb.sequence_number.clone());
            if record.dynamodb.new_image.is_some() && record.dynamodb.new_image == record.dynamodb.old_image {
                continue;
            }
            let mut record = serde_json::to_value(record)?;
            if let Value::Object(fields) = &mut record {
                fields.insert("eventSourceARN".to_owned(), Value::from(self.stream_arn.clone()));
            }
            self.records.push(record);
        }
        Ok(())
    }
}

/// Lets a writer that waits for the file have it, between two chunks of pruning.
#[expect(clippy::disallowed_methods, reason = "SQLite tells nobody that it is free: those who wait look again after a millisecond or two")]
fn pause() {
    thread::sleep(PRUNE_PAUSE);
}

/// The number the file holds for a public sequence number.
fn stored_sequence(public: &str) -> Result<i64, EmbeddedError> {
    public
        .parse::<u128>()
        .ok()
        .and_then(|number| number.checked_sub(SEQUENCE_OFFSET))
        .and_then(|number| i64::try_from(number).ok())
        .ok_or_else(|| EmbeddedError::BadSequence { sequence: public.to_owned() })
}

type Opened = Result<(String, Arc<Store>), EmbeddedError>;

/// Opens and serves, on a thread of its own, until told to stop or until nobody can tell it any more.
fn run(location: DataLocation, ready: oneshot::Sender<Opened>, stop: oneshot::Receiver<Stop>) -> Result<(), EmbeddedError> {
    let prepared = Store::open(location).and_then(|store| {
        let listening = |source| EmbeddedError::Io { action: "listen on a loopback port", source };
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map_err(listening)?;
        listener.set_nonblocking(true).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(listening)?;
        Ok((Arc::new(store), listener, address, runtime))
    });
    let (store, listener, address, runtime) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            // Whoever called `open` may have given up waiting; the failure is then nobody's.
            ready.send(Err(error)).unwrap_or_default();
            return Ok(());
        }
    };
    if ready.send(Ok((format!("http://{address}"), Arc::clone(&store)))).is_err() {
        return Ok(());
    }
    let ended = runtime.block_on(serve(listener, store.database.clone(), stop));
    // Connections that are still open hold the database too, and end with the runtime.
    drop(runtime);
    ended
}

async fn serve(listener: TcpListener, database: Database, stop: oneshot::Receiver<Stop>) -> Result<(), EmbeddedError> {
    let listener =
        tokio::net::TcpListener::from_std(listener).map_err(|source| EmbeddedError::Io { action: "listen on a loopback port", source })?;
    let (quiet, quieten) = oneshot::channel::<()>();
    let quietened = async move { quieten.await.unwrap_or_default() };
    let mut server = pin!(dynoxide::server::serve_with_shutdown(listener, database, quietened));
    let how = tokio::select! {
        ended = &mut server => return ended.map_err(EmbeddedError::Server),
        how = stop => how.unwrap_or(Stop::AtOnce),
    };
    match how {
        Stop::AtOnce => Ok(()),
        Stop::Gracefully => {
            drop(quiet);
            match tokio::time::timeout(GRACE, server).await {
                Ok(ended) => ended.map_err(EmbeddedError::Server),
                Err(_) => Err(EmbeddedError::CutOff),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::HashMap;

    use aws_lambda_events::event::dynamodb::TimeWindowEvent;
    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification,
        StreamViewType, TimeToLiveSpecification,
    };
    use futures::future::try_join_all;

    const TABLE: &str = "things";

    fn client(dynamo: &EmbeddedDynamo) -> Client {
        Client::from_conf(
            aws_sdk_dynamodb::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .endpoint_url(dynamo.endpoint())
                .region(Region::from_static("local"))
                .credentials_provider(Credentials::new("local", "local", None, None, "test"))
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .build(),
        )
    }

    /// An open database with a table whose key is `id` and whose stream has both images.
    async fn with_table(location: DataLocation) -> (EmbeddedDynamo, Client) {
        let dynamo = EmbeddedDynamo::open(location).await.unwrap();
        let client = client(&dynamo);
        let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages);
        create_table(&client, stream.build().unwrap()).await;
        (dynamo, client)
    }

    async fn create_table(client: &Client, stream: StreamSpecification) {
        let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build().unwrap();
        let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
        client
            .create_table()
            .table_name(TABLE)
            .attribute_definitions(id)
            .key_schema(key)
            .billing_mode(BillingMode::PayPerRequest)
            .stream_specification(stream)
            .send()
            .await
            .unwrap();
    }

    fn folder() -> (TempDir, DataLocation) {
        let folder = tempfile::tempdir().unwrap();
        let location = DataLocation::Folder(folder.path().join("data"));
        (folder, location)
    }

    async fn put(client: &Client, id: &str, value: &str) {
        let id = AttributeValue::S(id.to_owned());
        let value = AttributeValue::S(value.to_owned());
        client.put_item().table_name(TABLE).item("id", id).item("value", value).send().await.unwrap();
    }

    async fn get(client: &Client, id: &str) -> Option<HashMap<String, AttributeValue>> {
        client.get_item().table_name(TABLE).key("id", AttributeValue::S(id.to_owned())).send().await.unwrap().item
    }

    fn ids(batch: &StreamBatch) -> Vec<&str> {
        batch.records.iter().map(|record| record["dynamodb"]["Keys"]["id"]["S"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_second_open_of_the_same_folder_is_refused() {
        let (_folder, location) = folder();
        let first = EmbeddedDynamo::open(location.clone()).await.unwrap();
        let refused = EmbeddedDynamo::open(location.clone()).await.unwrap_err();
        assert!(matches!(refused, EmbeddedError::InUse { .. }), "{refused:?}");
        assert_eq!(refused.to_string().lines().count(), 1);
        first.stop().await.unwrap();
        EmbeddedDynamo::open(location).await.unwrap();
    }

    #[tokio::test]
    async fn a_drop_frees_the_folder_at_once() {
        let (_folder, location) = folder();
        drop(EmbeddedDynamo::open(location.clone()).await.unwrap());
        EmbeddedDynamo::open(location).await.unwrap();
    }

    #[tokio::test]
    async fn items_outlive_a_stop_and_a_drop() {
        let (_folder, location) = folder();
        let (dynamo, first_client) = with_table(location.clone()).await;
        put(&first_client, "a", "1").await;
        dynamo.stop().await.unwrap();

        let dynamo = EmbeddedDynamo::open(location.clone()).await.unwrap();
        put(&client(&dynamo), "b", "1").await;
        drop(dynamo);

        let dynamo = EmbeddedDynamo::open(location).await.unwrap();
        assert!(get(&client(&dynamo), "a").await.is_some());
        assert!(get(&client(&dynamo), "b").await.is_some());
    }

    #[tokio::test]
    async fn a_temporary_folder_goes_with_its_tables() {
        for graceful in [true, false] {
            let (dynamo, client) = with_table(DataLocation::Temporary).await;
            put(&client, "a", "1").await;
            let path = PathBuf::from(dynamo.store.database.db_path().unwrap().unwrap());
            assert!(path.exists());
            if graceful {
                dynamo.stop().await.unwrap();
            } else {
                drop(dynamo);
            }
            assert!(!path.parent().unwrap().exists());
        }
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_created_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = EmbeddedDynamo::open(DataLocation::Folder(file)).await.unwrap_err();
        assert!(matches!(error, EmbeddedError::Io { action: "create the data folder", .. }), "{error:?}");
    }

    /// The runtime of this test has one thread: a server on it would wait for itself.
    #[tokio::test]
    async fn concurrent_requests_from_a_single_threaded_runtime_all_end() {
        let (dynamo, client) = with_table(DataLocation::Temporary).await;
        let names: Vec<String> = (0..64).map(|number| number.to_string()).collect();
        try_join_all(names.iter().map(async |name| {
            put(&client, name, "1").await;
            Ok::<_, EmbeddedError>(())
        }))
        .await
        .unwrap();
        assert_eq!(dynamo.read_stream(TABLE, None, 1000).await.unwrap().records.len(), 64);
    }

    #[tokio::test]
    async fn a_batch_is_the_event_lambda_sends() {
        let (dynamo, client) = with_table(DataLocation::Temporary).await;
        put(&client, "a", "1").await;
        put(&client, "a", "2").await;
        client.delete_item().table_name(TABLE).key("id", AttributeValue::S("a".to_owned())).send().await.unwrap();

        let batch = dynamo.read_stream(TABLE, None, 10).await.unwrap();
        let mut state = Map::new();
        state.insert("count".to_owned(), Value::from("7"));
        let window = TumblingWindow {
            start: "2026-01-02T03:04:00Z".parse().unwrap(),
            end: "2026-01-02T03:05:00Z".parse().unwrap(),
            state,
            stage: WindowStage::Final,
        };
        let event = batch.window_event(&window);
        let parsed: TimeWindowEvent = serde_json::from_value(event.clone()).unwrap();

        let records = &parsed.dynamo_db_event.records;
        let names: Vec<&str> = records.iter().map(|record| record.event_name.as_str()).collect();
        assert_eq!(names, ["INSERT", "MODIFY", "REMOVE"]);
        let (created, changed, removed) = (&records[0], &records[1], &records[2]);
        assert_eq!(created.event_source.as_deref(), Some("aws:dynamodb"));
        assert_eq!(created.event_source_arn.as_deref(), Some(batch.stream_arn.as_str()));
        assert!(created.change.old_image.is_empty());
        assert_eq!(changed.change.old_image, created.change.new_image);
        assert_eq!(removed.change.old_image, changed.change.new_image);
        assert!(removed.change.new_image.is_empty());
        assert_eq!(removed.change.sequence_number, batch.last_sequence);

        let properties = &parsed.time_window_properties;
        assert_eq!(properties.shard_id.as_deref(), Some(batch.shard_id.as_str()));
        assert_eq!(properties.event_source_arn.as_deref(), Some(batch.stream_arn.as_str()));
        assert_eq!((properties.window.start, properties.window.end), (window.start, window.end));
        assert_eq!(properties.state["count"], "7");
        assert!(properties.is_final_invoke_for_window);
        assert!(!properties.is_window_terminated_early);
        assert_eq!(batch.event()["Records"], event["Records"]);
    }

    #[tokio::test]
    async fn a_read_goes_on_where_the_last_one_ended() {
        let (dynamo, client) = with_table(DataLocation::Temporary).await;
        for id in ["a", "b", "c"] {
            put(&client, id, "1").await;
        }
        let first = dynamo.read_stream(TABLE, None, 2).await.unwrap();
        assert_eq!(ids(&first), ["a", "b"]);
        let second = dynamo.read_stream(TABLE, first.last_sequence.as_deref(), 2).await.unwrap();
        assert_eq!(ids(&second), ["c"]);
        let third = dynamo.read_stream(TABLE, second.last_sequence.as_deref(), 2).await.unwrap();
        assert_eq!(ids(&third), [""; 0]);
        assert_eq!(third.last_sequence, second.last_sequence);
    }

    #[tokio::test]
    async fn a_write_that_changes_nothing_is_not_in_the_stream() {
        let (dynamo, client) = with_table(DataLocation::Temporary).await;
        for (id, value) in [("a", "1"), ("a", "1"), ("a", "1"), ("b", "1"), ("b", "1")] {
            put(&client, id, value).await;
        }
        let first = dynamo.read_stream(TABLE, None, 1).await.unwrap();
        assert_eq!(ids(&first), ["a"]);
        let second = dynamo.read_stream(TABLE, first.last_sequence.as_deref(), 1).await.unwrap();
        assert_eq!(ids(&second), ["b"]);
        let third = dynamo.read_stream(TABLE, second.last_sequence.as_deref(), 1).await.unwrap();
        assert_eq!(ids(&third), [""; 0]);
        assert!(third.last_sequence > second.last_sequence);
    }

    #[tokio::test]
    async fn a_batch_ends_before_it_outgrows_what_lambda_sends() {
        let (dynamo, client) = with_table(DataLocation::Temporary).await;
        let large = "x".repeat(390 * 1024);
        let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        for name in &names {
            put(&client, name, &large).await;
        }
        let first = dynamo.read_stream(TABLE, None, 100).await.unwrap();
        assert!(first.event().to_string().len() < MOST_BYTES + large.len());
        let second = dynamo.read_stream(TABLE, first.last_sequence.as_deref(), 100).await.unwrap();
        assert_eq!([ids(&first), ids(&second)].concat(), names);
    }

    #[tokio::test]
    async fn pruning_keeps_what_follows_and_always_the_newest() {
        let (dynamo, client) = with_table(DataLocation::Temporary).await;
        for id in ["a", "b", "c"] {
            put(&client, id, "1").await;
        }
        let two = dynamo.read_stream(TABLE, None, 2).await.unwrap().last_sequence.unwrap();
        assert_eq!(dynamo.prune_stream(TABLE, &two).await.unwrap(), 2);
        let rest = dynamo.read_stream(TABLE, None, 10).await.unwrap();
        assert_eq!(ids(&rest), ["c"]);

        let newest = rest.last_sequence.unwrap();
        assert_eq!(dynamo.prune_stream(TABLE, &newest).await.unwrap(), 0);
        put(&client, "d", "1").await;
        let next = dynamo.read_stream(TABLE, Some(&newest), 10).await.unwrap();
        assert_eq!(ids(&next), ["d"]);
        assert!(next.last_sequence.unwrap() > newest);
    }

    #[tokio::test]
    async fn pruning_more_than_one_chunk_and_writing_go_together() {
        let (dynamo, client) = with_table(DataLocation::Temporary).await;
        let names: Vec<String> = (0..=2 * PRUNE_CHUNK).map(|number| number.to_string()).collect();
        for name in &names {
            put(&client, name, "1").await;
        }
        let newest = dynamo.read_stream(TABLE, None, 1000).await.unwrap().last_sequence.unwrap();
        let writes = async {
            for name in &names {
                put(&client, name, "2").await;
            }
        };
        let (pruned, ()) = tokio::join!(dynamo.prune_stream(TABLE, &newest), writes);
        // The newest record of the first round goes only if a write of the second came before the last chunk.
        assert!((names.len() - 1..=names.len()).contains(&pruned.unwrap()));
        assert_eq!(dynamo.read_stream(TABLE, Some(&newest), 1000).await.unwrap().records.len(), names.len());
    }

    #[tokio::test]
    async fn an_expired_item_is_removed_by_the_service() {
        let (dynamo, client) = with_table(DataLocation::Temporary).await;
        let expiry = TimeToLiveSpecification::builder().attribute_name("expires").enabled(true).build().unwrap();
        client.update_time_to_live().table_name(TABLE).time_to_live_specification(expiry).send().await.unwrap();
        for (id, expires) in [("past", "1"), ("future", "99999999999")] {
            let item = [("id", AttributeValue::S(id.to_owned())), ("expires", AttributeValue::N(expires.to_owned()))];
            let item = item.map(|(name, value)| (name.to_owned(), value)).into();
            client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
        }
        assert_eq!(dynamo.sweep_expired().await.unwrap(), 1);
        assert!(get(&client, "past").await.is_none());
        assert!(get(&client, "future").await.is_some());

        let records = dynamo.read_stream(TABLE, None, 10).await.unwrap().records;
        assert_eq!(records[2]["eventName"], "REMOVE");
        assert_eq!(records[2]["userIdentity"], json!({ "type": "Service", "principalId": "dynamodb.amazonaws.com" }));
    }

    #[tokio::test]
    async fn a_table_without_a_stream_has_no_records_to_read() {
        let dynamo = EmbeddedDynamo::open(DataLocation::Temporary).await.unwrap();
        let absent = dynamo.read_stream(TABLE, None, 10).await.unwrap_err();
        assert!(matches!(absent, EmbeddedError::NoStream { .. }), "{absent:?}");
        create_table(&client(&dynamo), StreamSpecification::builder().stream_enabled(false).build().unwrap()).await;
        let disabled = dynamo.read_stream(TABLE, None, 10).await.unwrap_err();
        assert!(matches!(disabled, EmbeddedError::NoStream { .. }), "{disabled:?}");
    }

    #[tokio::test]
    async fn a_sequence_number_that_was_never_given_out_is_refused() {
        let (dynamo, _client) = with_table(DataLocation::Temporary).await;
        for sequence in ["", "5", "abc", "999999999999999999999999999999999999999"] {
            let read = dynamo.read_stream(TABLE, Some(sequence), 10).await.unwrap_err();
            assert!(matches!(read, EmbeddedError::BadSequence { .. }), "{sequence}: {read:?}");
            let pruned = dynamo.prune_stream(TABLE, sequence).await.unwrap_err();
            assert!(matches!(pruned, EmbeddedError::BadSequence { .. }), "{sequence}: {pruned:?}");
        }
    }

    /// The emulator's own statements, so that a new version of it that asks otherwise is noticed.
    #[tokio::test]
    async fn no_statement_scans_the_whole_stream() {
        let dynamo = EmbeddedDynamo::open(DataLocation::Temporary).await.unwrap();
        let connection = dynamo.store.connection.lock().unwrap();
        let next = "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = ?1";
        let read = "SELECT event_name FROM _stream_records WHERE table_name = ?1 AND shard_id = ?2 \
            AND CAST(sequence_number AS INTEGER) > ?3 ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT ?4";
        for (statement, parameters) in [(next, 1), (read, 4), (PRUNE, 3)] {
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
            let parameters = rusqlite::params_from_iter(vec![1; parameters]);
            let plan: Vec<String> = explain.query_map(parameters, |row| row.get(3)).unwrap().map(Result::unwrap).collect();
            assert!(plan.iter().any(|step| step.contains("_stream_records_by_sequence")), "{plan:?}");
            assert!(!plan.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE")), "{plan:?}");
        }
    }
}
