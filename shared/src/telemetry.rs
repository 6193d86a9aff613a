//! Logs: one JSON line each. In a function, one line for each invocation that has something to say, with its metrics in it.
//!
//! Whatever an invocation logs is gathered, because a line costs as much to keep as an event: a quiet invocation writes nothing.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Shows an error with all of its causes, for the one place where it is logged.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The target of lines that processors write because their owners want them: shown at every level.
pub const PROCESSORS: &str = "processors";
/// The target of metrics, which become members of an invocation's line and are shown nowhere else.
const METRICS: &str = "metrics";

/// The namespace of the metrics in CloudWatch.
pub const NAMESPACE: &str = "EventService";
/// How many problems an invocation's functions had.
pub const PROBLEMS: &str = "Problems";

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON, for machines.
    Json,
    /// Words, for a terminal.
    Text,
}

/// Starts logging at this level, each line as it comes. Later calls change nothing.
pub fn start(format: LogFormat, level: Level) {
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(targets(level));
    let started = match format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true).without_time()).try_init(),
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging has been started before");
    }
}

fn targets(level: Level) -> Targets {
    Targets::new()
        .with_default(level)
        // The embedded store warns of every conditional write that finds its condition false.
        .with_target("dynoxide", Level::ERROR)
        // What goes wrong with a connection is in the error of whoever needed it.
        .with_target("async_nats", LevelFilter::OFF)
        // It repeats what an invocation has failed with, after the invocation.
        .with_target("lambda_runtime", LevelFilter::OFF)
        .with_target(PROCESSORS, Level::INFO)
}

/// The unit of a metric, as CloudWatch names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A part of a hundred.
    Percent,
    /// Seconds.
    Seconds,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Percent => "Percent",
            Self::Seconds => "Seconds",
        }
    }
}

/// Measures something about the whole service. In a function it becomes a CloudWatch metric; elsewhere nobody hears of it.
pub fn measure(metric: &str, unit: Unit, value: f64) {
    tracing::info!(target: METRICS, metric, unit = unit.name(), value);
}

/// Gathers what each invocation of a function logs, and writes it as one line. Clones write the same lines.
#[derive(Clone)]
pub struct Invocations(Arc<Gatherer>);

struct Gatherer {
    function: String,
    /// Which of several deployments this is, for its metrics.
    service: String,
    now: fn() -> i64,
    write: fn(&str),
    current: Mutex<Option<Gathered>>,
}

struct Gathered {
    request_id: String,
    began: Instant,
    logs: Vec<Map<String, Value>>,
    left_out: usize,
    problems: usize,
    metrics: Vec<(String, String, f64)>,
}

impl Gathered {
    /// Notes a measurement. What is counted several times in an invocation adds up: a line has each metric once.
    fn measured(&mut self, metric: Option<(String, String, f64)>) {
        let Some((name, unit, value)) = metric else { return };
        match self.metrics.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, _, sum)) if unit == Unit::Count.name() => *sum += value,
            Some((_, _, last)) => *last = value,
            None => self.metrics.push((name, unit, value)),
        }
    }
}

/// The most lines that are kept of an invocation, and the most characters of what they say.
const MOST_LOGS: usize = 20;
const MOST_CHARACTERS: usize = 2_000;

impl Invocations {
    /// Gathers for a function of a service. `now` says the time in milliseconds since 1970, and `write` takes the lines.
    #[must_use]
    pub fn new(function: &str, service: &str, now: fn() -> i64, write: fn(&str)) -> Self {
        let (function, service) = (function.to_owned(), service.to_owned());
        Self(Arc::new(Gatherer { function, service, now, write, current: Mutex::new(None) }))
    }

    /// Starts logging at this level. Later calls change nothing.
    pub fn start(&self, level: Level) {
        if tracing_subscriber::registry().with(self.layer(level)).try_init().is_err() {
            tracing::debug!("logging has been started before");
        }
    }

    /// What hears the lines.
    fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(&self, level: Level) -> impl Layer<S> + use<S> {
        GatheringLayer(Arc::clone(&self.0)).with_filter(targets(level).with_target(METRICS, Level::INFO))
    }

    /// Begins an invocation. Its line is written when this is dropped, also by a panic, if there is something to say.
    #[must_use]
    pub fn begin(&self, request_id: &str) -> Invocation<'_> {
        let (request_id, began) = (request_id.to_owned(), Instant::now());
        let gathered = Gathered { request_id, began, logs: Vec::new(), left_out: 0, problems: 0, metrics: Vec::new() };
        *self.0.lock() = Some(gathered);
        Invocation(&self.0)
    }
}

impl Gatherer {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Gathered>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line of an invocation; nothing if it has nothing to say.
    ///
    /// Metrics are in CloudWatch's embedded metric format.
    fn line(&self, gathered: Gathered) -> Option<Value> {
        if gathered.logs.is_empty() && gathered.metrics.is_empty() {
            return None;
        }
        let rank = |log: &Map<String, Value>| match log.get("level").and_then(Value::as_str) {
            Some("ERROR") => 2,
            Some("WARN") => 1,
            Some(_) | None => 0,
        };
        let worst = gathered.logs.iter().rev().max_by_key(|log| rank(log));
        let mut line = Map::from_iter([
            ("level".to_owned(), worst.and_then(|log| log.get("level")).cloned().unwrap_or_else(|| "INFO".into())),
            ("message".to_owned(), worst.and_then(|log| log.get("message")).cloned().unwrap_or_else(|| "measured".into())),
            ("Service".to_owned(), self.service.as_str().into()),
            ("Function".to_owned(), self.function.as_str().into()),
            ("request_id".to_owned(), gathered.request_id.as_str().into()),
            ("duration_ms".to_owned(), u64::try_from(gathered.began.elapsed().as_millis()).unwrap_or(u64::MAX).into()),
        ]);
        let mut sets = Vec::new();
        if gathered.problems > 0 {
            sets.push(metrics(&["Service", "Function"], &[json!({"Name": PROBLEMS, "Unit": "Count"})]));
            line.insert(PROBLEMS.to_owned(), gathered.problems.into());
        }
        if !gathered.metrics.is_empty() {
            let named: Vec<Value> = gathered.metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
            sets.push(metrics(&["Service"], &named));
            line.extend(gathered.metrics.iter().map(|(name, _, value)| (name.clone(), json!(value))));
        }
        if !sets.is_empty() {
            line.insert("_aws".to_owned(), json!({"Timestamp": (self.now)(), "CloudWatchMetrics": sets}));
        }
        if gathered.left_out > 0 {
            line.insert("left_out".to_owned(), gathered.left_out.into());
        }
        if !gathered.logs.is_empty() {
            line.insert("logs".to_owned(), gathered.logs.into_iter().map(Value::Object).collect());
        }
        Some(Value::Object(line))
    }
}

fn metrics(dimensions: &[&str], metrics: &[Value]) -> Value {
    json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics})
}

/// An invocation that is under way.
pub struct Invocation<'a>(&'a Gatherer);

impl Invocation<'_> {
    /// Writes the line now, because the invocation may not come to its end: what it logs from now on is written as it comes.
    pub fn write(&self) {
        let gathered = self.0.lock().take();
        if let Some(line) = gathered.and_then(|gathered| self.0.line(gathered)) {
            (self.0.write)(&line.to_string());
        }
    }
}

impl Drop for Invocation<'_> {
    fn drop(&mut self) {
        self.write();
    }
}

struct GatheringLayer(Arc<Gatherer>);

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for GatheringLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields(Map::new());
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields(Map::new());
        // What a line says itself is what it means; what is around it, it is within.
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(around) = span.extensions().get::<Fields>() {
                fields.0.extend(around.0.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        let level = *event.metadata().level();
        let is_metric = event.metadata().target() == METRICS;
        if !is_metric {
            fields.0.insert("level".to_owned(), level.as_str().into());
        }
        event.record(&mut fields);
        let mut current = self.0.lock();
        match current.as_mut() {
            Some(gathered) if is_metric => gathered.measured(fields.metric()),
            Some(gathered) => {
                if level <= Level::WARN {
                    gathered.problems += 1;
                }
                if gathered.logs.len() < MOST_LOGS { gathered.logs.push(fields.0) } else { gathered.left_out += 1 }
            }
            // At the start, before anything is asked.
            None if is_metric => {}
            None => {
                drop(current);
                fields.0.insert("Function".to_owned(), self.0.function.as_str().into());
                (self.0.write)(&Value::Object(fields.0).to_string());
            }
        }
    }
}

/// The fields of a line.
struct Fields(Map<String, Value>);

impl Fields {
    fn metric(&self) -> Option<(String, String, f64)> {
        let text = |name: &str| self.0.get(name).and_then(Value::as_str).map(str::to_owned);
        Some((text("metric")?, text("unit")?, self.0.get("value")?.as_f64()?))
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match value.char_indices().nth(MOST_CHARACTERS) {
            Some((end, _)) => self.put(field, format!("{}…", &value[..end])),
            None => self.put(field, value),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    thread_local! {
        static WRITTEN: RefCell<Vec<Value>> = const { RefCell::new(Vec::new()) };
    }

    fn write(line: &str) {
        WRITTEN.with_borrow_mut(|lines| lines.push(serde_json::from_str(line).unwrap()));
    }

    /// What is written while something runs.
    fn written(level: Level, work: impl FnOnce(&Invocations)) -> Vec<Value> {
        let invocations = Invocations::new("sweep", "shop", || 1_795_000_000_000, write);
        let subscriber = tracing_subscriber::registry().with(invocations.layer(level));
        tracing::subscriber::with_default(subscriber, || work(&invocations));
        let mut lines = WRITTEN.take();
        for line in &mut lines {
            if let Some(duration) = line.get_mut("duration_ms") {
                assert!(duration.is_u64());
                *duration = json!(0);
            }
        }
        lines
    }

    #[test]
    fn an_invocation_that_has_nothing_to_say_writes_nothing() {
        let lines = written(Level::WARN, |invocations| {
            let _invocation = invocations.begin("r-1");
            tracing::info!("not at this level");
        });
        assert_eq!(lines, Vec::<Value>::new());
    }

    #[test]
    fn all_that_an_invocation_logs_is_one_line_with_the_worst_first() {
        let lines = written(Level::WARN, |invocations| {
            let _invocation = invocations.begin("r-1");
            tracing::warn!(queue = "deliver", "slow");
            tracing::error!(error = %Chain(&fmt::Error), count = 3, "failed");
            tracing::error!("failed again");
        });
        assert_eq!(
            lines,
            [json!({
                "level": "ERROR", "message": "failed", "Service": "shop", "Function": "sweep", "request_id": "r-1", "duration_ms": 0, "Problems": 3,
                "_aws": {"Timestamp": 1_795_000_000_000_i64, "CloudWatchMetrics": [
                    {"Namespace": "EventService", "Dimensions": [["Service", "Function"]], "Metrics": [{"Name": "Problems", "Unit": "Count"}]}]},
                "logs": [
                    {"level": "WARN", "message": "slow", "queue": "deliver"},
                    {"level": "ERROR", "message": "failed", "error": fmt::Error.to_string(), "count": 3},
                    {"level": "ERROR", "message": "failed again"}],
            })]
        );
    }

    #[test]
    fn what_is_logged_within_a_span_says_what_the_span_is_of() {
        let lines = written(Level::WARN, |invocations| {
            let _invocation = invocations.begin("r-1");
            let _span = tracing::error_span!("event", event_id = "e-1", correlation_id = "c-1").entered();
            tracing::warn!(event_id = "e-2", "slow");
        });
        assert_eq!(lines[0]["logs"], json!([{"level": "WARN", "message": "slow", "event_id": "e-2", "correlation_id": "c-1"}]));
    }

    #[test]
    fn metrics_are_in_the_line_in_the_embedded_metric_format_and_counts_add_up() {
        let lines = written(Level::ERROR, |invocations| {
            let _invocation = invocations.begin("r-1");
            measure("PendingEvents", Unit::Count, 44.0);
            measure("ErrorRate", Unit::Percent, 7.0);
            measure("PendingEvents", Unit::Count, 1.0);
            measure("ErrorRate", Unit::Percent, 0.5);
        });
        assert_eq!(
            lines,
            [json!({
                "level": "INFO", "message": "measured", "Service": "shop", "Function": "sweep", "request_id": "r-1", "duration_ms": 0,
                "PendingEvents": 45.0, "ErrorRate": 0.5,
                "_aws": {"Timestamp": 1_795_000_000_000_i64, "CloudWatchMetrics": [{
                    "Namespace": "EventService", "Dimensions": [["Service"]],
                    "Metrics": [{"Name": "PendingEvents", "Unit": "Count"}, {"Name": "ErrorRate", "Unit": "Percent"}]}]},
            })]
        );
    }

    #[test]
    fn a_flood_of_lines_is_cut_and_counted() {
        let lines = written(Level::WARN, |invocations| {
            let _invocation = invocations.begin("r-1");
            for _ in 0..MOST_LOGS + 5 {
                tracing::warn!(text = "x".repeat(5_000), "again");
            }
        });
        let line = &lines[0];
        assert_eq!((lines.len(), line["Problems"].as_u64(), line["left_out"].as_u64()), (1, Some(25), Some(5)));
        assert!(line.to_string().len() < MOST_LOGS * (MOST_CHARACTERS + 200));
    }

    #[test]
    fn a_panic_loses_nothing_and_the_next_invocation_begins_anew() {
        let lines = written(Level::WARN, |invocations| {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let _invocation = invocations.begin("r-1");
                tracing::warn!("before");
                std::panic::resume_unwind(Box::new("oh"));
            }));
            assert!(panicked.is_err());
            let _invocation = invocations.begin("r-2");
            tracing::warn!("after");
        });
        let said: Vec<_> = lines.iter().map(|line| (line["request_id"].as_str(), line["message"].as_str())).collect();
        assert_eq!(said, [(Some("r-1"), Some("before")), (Some("r-2"), Some("after"))]);
    }

    #[test]
    fn what_is_logged_before_the_first_invocation_or_after_the_line_is_written_at_once() {
        let lines = written(Level::WARN, |invocations| {
            tracing::warn!("at the start");
            measure("PendingEvents", Unit::Count, 1.0);
            let invocation = invocations.begin("r-1");
            tracing::warn!("in time");
            invocation.write();
            tracing::warn!("too late");
        });
        let said: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
        assert_eq!(said, ["at the start", "in time", "too late"]);
        assert_eq!(lines[0], json!({"level": "WARN", "message": "at the start", "Function": "sweep"}));
    }
}
