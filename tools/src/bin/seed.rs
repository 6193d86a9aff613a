//! Fills a running service with made-up events: `make seed EVENTS=100000`.
//!
//! Each batch has an `Idempotency-Key` that follows from what was asked for and when, so that a batch
//! that has to be sent again counts once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use clap::Parser;
use clap::builder::styling::{AnsiColor, Style};
use futures::future::try_join_all;
use hyper::StatusCode;
use indicatif::{HumanCount, HumanFloatCount, ProgressBar, ProgressState, ProgressStyle};
use serde::de::IgnoredAny;
use tools::events::{Category, Event, Mix, Settings};
use tools::http_client::{self, HttpClient, HttpError, Patience, SetupError};

const BATCH: &str = "/api/v1/events/batch";

/// Fill a running service with made-up events.
#[derive(Debug, Parser)]
#[command(name = "seed")]
struct Arguments {
    /// How many events.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    events: u32,
    /// Where the service is.
    #[arg(long, default_value = "http://127.0.0.1:8230")]
    url: String,
    /// An API key that may write events [default: the one in .data/dev-key, else EVENTS_API_KEY].
    #[arg(long)]
    key: Option<String>,
    /// The most events of one request.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    batch: u32,
    /// How many requests are under way at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,
    /// Picks the events: the same number gives the same ones.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// How many days the events are spread over.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// When those days end, in RFC 3339 [default: now]; the same command with the same --now stores nothing twice.
    #[arg(long)]
    now: Option<DateTime<Utc>>,
}

/// Not all events were stored.
#[derive(Debug, thiserror::Error)]
enum SeedError {
    #[error("nothing answers at {0}: start it with `make run`")]
    NotRunning(String),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("{url} refuses the batch with {status}: {detail}")]
    Refused { url: String, status: StatusCode, detail: String },
    #[error("{stored} events came back for a batch of {sent}")]
    Miscounted { sent: usize, stored: usize },
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// What is still to be sent.
struct Work {
    mix: Mix,
    left: u32,
    /// The number of the next batch.
    number: u32,
    most: usize,
}

impl Work {
    fn next(&mut self) -> Option<(u32, Vec<Event>)> {
        if self.left == 0 {
            return None;
        }
        let mut batch = self.mix.next_batch(self.most);
        batch.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= u32::try_from(batch.len()).unwrap_or(self.left);
        self.number += 1;
        Some((self.number, batch))
    }
}

/// What was sent.
#[derive(Debug, Default)]
struct Tally {
    events: u32,
    retries: u32,
    /// How long each batch took, retries included.
    times: Vec<Duration>,
    categories: BTreeMap<Category, u32>,
    took: Duration,
}

impl Tally {
    fn add(&mut self, batch: &[Event], retries: u32, time: Duration) {
        for event in batch {
            self.events += 1;
            *self.categories.entry(event.event_category).or_default() += 1;
        }
        self.retries += retries;
        self.times.push(time);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match seed(&arguments, Patience::default()).await {
        Ok(tally) => {
            let in_colour = std::io::stdout().is_terminal() && tools::environment("NO_COLOR").is_none();
            print!("{}", table(tally, in_colour));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Sends all events, and says what that took.
async fn seed(arguments: &Arguments, patience: Patience) -> Result<Tally, SeedError> {
    let client = HttpClient::new(&arguments.url)?;
    // Before the key: where the service never ran, there is none either.
    match client.get("/health").await {
        Err(HttpError::Unreachable { base }) => return Err(SeedError::NotRunning(base)),
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let client = client.with_key(&http_client::api_key(arguments.key.as_deref())?)?;

    let now = arguments.now.unwrap_or_else(tools::now);
    let settings = Settings { seed: arguments.seed, events: arguments.events, days: arguments.days, now };
    let most = usize::try_from(arguments.batch).unwrap_or(usize::MAX);
    let work = RefCell::new(Work { mix: Mix::new(settings), left: arguments.events, number: 0, most });
    let tally = RefCell::new(Tally::default());
    let progress = Progress::new(arguments.events);
    let began = Instant::now();
    let send_batches = async || -> Result<(), SeedError> {
        loop {
            let next = work.borrow_mut().next();
            let Some((number, batch)) = next else { return Ok(()) };
            let key = idempotency_key(&settings, arguments.batch, number);
            let sent = Instant::now();
            let retries = send(&client, &batch, &key, &patience).await?;
            tally.borrow_mut().add(&batch, retries, sent.elapsed());
            progress.show(tally.borrow().events);
        }
    };
    let sent = try_join_all((0..arguments.connections).map(|_| send_batches())).await;
    progress.end();
    sent?;
    Ok(Tally { took: began.elapsed(), ..tally.into_inner() })
}

/// Sends one batch until the service has it, and says how often that took more.
async fn send(client: &HttpClient, batch: &[Event], key: &str, patience: &Patience) -> Result<u32, SeedError> {
    let body = http_client::body(&batch)?;
    let settled = client.post_once(BATCH, &body, key, patience).await?;
    if settled.answer.status != StatusCode::OK {
        let (status, detail) = (settled.answer.status, settled.answer.detail());
        return Err(SeedError::Refused { url: BATCH.to_owned(), status, detail });
    }
    let stored = settled.answer.json::<Vec<IgnoredAny>>()?.len();
    if stored == batch.len() { Ok(settled.retries) } else { Err(SeedError::Miscounted { sent: batch.len(), stored }) }
}

/// Says all that a batch's content follows from: the same key never stands for other events.
fn idempotency_key(settings: &Settings, most: u32, number: u32) -> String {
    let Settings { seed, events, days, now } = settings;
    format!("seed-{seed}-{}-{events}-{days}-{most}-{number}", now.timestamp_micros())
}

/// How far it is: a bar on a terminal, else a line for every tenth.
enum Progress {
    Bar(ProgressBar),
    Lines { all: u32, began: Instant, tenths: RefCell<u32> },
}

impl Progress {
    fn new(all: u32) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { all, began: Instant::now(), tenths: RefCell::new(0) };
        }
        let bar = ProgressBar::new(u64::from(all));
        let template = "{bar:40.cyan/blue} {human_pos} of {human_len} events, {rate}/s, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
                // A bar has nowhere to report that it cannot be drawn.
                write!(text, "{:.0}", HumanFloatCount(state.per_sec().round())).unwrap_or_default();
            };
            bar.set_style(style.with_key("rate", rate));
        }
        Self::Bar(bar)
    }

    fn show(&self, events: u32) {
        match self {
            Self::Bar(bar) => bar.set_position(u64::from(events)),
            Self::Lines { all, began, tenths } => {
                let now = u64::from(events) * 10 / u64::from(*all);
                if now > u64::from(*tenths.borrow()) {
                    *tenths.borrow_mut() = u32::try_from(now).unwrap_or(10);
                    let rate = HumanCount(per_second(events, began.elapsed()));
                    eprintln!("{} of {} events, {rate}/s", HumanCount(events.into()), HumanCount((*all).into()));
                }
            }
        }
    }

    fn end(&self) {
        match self {
            Self::Bar(bar) => bar.finish_and_clear(),
            Self::Lines { .. } => {}
        }
    }
}

/// The report: one line per number, then one per category, the largest first.
fn table(mut tally: Tally, in_colour: bool) -> String {
    let style = |style: Style| if in_colour { style } else { Style::new() };
    let (bold, number, dim) = (style(Style::new().bold()), style(AnsiColor::Green.on_default()), style(Style::new().dimmed()));
    tally.times.sort_unstable();
    let count = |number: u32| HumanCount(number.into()).to_string();
    let millis = |percent| format!("{:.1} ms", tools::percentile_ms(&tally.times, percent));
    let rows = [
        ("events", count(tally.events)),
        ("batches", HumanCount(u64::try_from(tally.times.len()).unwrap_or_default()).to_string()),
        ("seconds", format!("{:.1}", tally.took.as_secs_f64())),
        ("events/s", HumanCount(per_second(tally.events, tally.took)).to_string()),
        ("p50 of a batch", millis(50)),
        ("p99 of a batch", millis(99)),
        ("retries", count(tally.retries)),
    ];
    let mut categories: Vec<_> = tally.categories.iter().collect();
    categories.sort_by_key(|(category, events)| (std::cmp::Reverse(**events), **category));

    let mut text = String::new();
    let mut line = |name: &str, value: &str, share: &str| {
        // Writing to a string does not fail.
        writeln!(text, "{name:<16}{number}{value:>14}{number:#}{dim}{share:>9}{dim:#}").unwrap_or_default();
    };
    for (name, value) in rows {
        line(name, &value, "");
    }
    line("", "", "");
    line(&format!("{bold}{:<16}{bold:#}", "category"), &format!("{bold}{:>14}{bold:#}", "events"), "");
    for (category, events) in categories {
        let share = format!("{:.1} %", f64::from(*events) * 100.0 / f64::from(tally.events.max(1)));
        line(category.as_str(), &count(*events), &share);
    }
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// Events per second, to the nearest whole number.
fn per_second(events: u32, took: Duration) -> u64 {
    let micros = took.as_micros().max(1);
    u64::try_from((u128::from(events) * 1_000_000 + micros / 2) / micros).unwrap_or(u64::MAX)
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::rc::Rc;

    use serde_json::Value;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Stands in for the service: stores each batch once for its key.
    #[derive(Default)]
    struct Service {
        stored: HashMap<String, Vec<Value>>,
        /// What it answers to the next batches, before it stores any.
        first: Vec<First>,
        connections: usize,
        batches: usize,
    }

    #[derive(Clone, Copy)]
    enum First {
        Busy,
        /// It stores the batch, and hangs up instead of answering.
        HangsUp,
        Refuses,
    }

    async fn listen(first: &[First]) -> (String, Rc<RefCell<Service>>, tokio::task::LocalSet) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = Rc::new(RefCell::new(Service { first: first.to_vec(), ..Service::default() }));
        let tasks = tokio::task::LocalSet::new();
        let shared = Rc::clone(&service);
        tasks.spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.borrow_mut().connections += 1;
                tokio::task::spawn_local(serve(stream, Rc::clone(&shared)));
            }
        });
        (url, service, tasks)
    }

    async fn serve(stream: TcpStream, service: Rc<RefCell<Service>>) {
        let mut stream = BufReader::new(stream);
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                if line == "\r\n" {
                    break;
                }
                head.push(line.trim_end().to_owned());
            }
            let header = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default();
            let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
            stream.read_exact(&mut body).await.unwrap();
            let Some((status, answer)) = service.borrow_mut().answer(&head[0], header, &body) else { return };
            let head = format!("HTTP/1.1 {status}\r\nretry-after: 0\r\ncontent-length: {}\r\n\r\n", answer.len());
            stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
        }
    }

    impl Service {
        fn answer<'a>(&mut self, request: &str, header: impl Fn(&str) -> &'a str, body: &[u8]) -> Option<(&'static str, String)> {
            if request == "GET /health HTTP/1.1" {
                return Some(("200 OK", "{}".to_owned()));
            }
            assert_eq!(request, "POST /api/v1/events/batch HTTP/1.1");
            assert_eq!((header("x-api-key"), header("content-type")), ("k1", "application/json"));
            self.batches += 1;
            let first = self.first.pop();
            match first {
                Some(First::Busy) => return Some(("503 Service Unavailable", "{}".to_owned())),
                Some(First::Refuses) => return Some(("401 Unauthorized", r#"{"detail":"Invalid API key"}"#.to_owned())),
                Some(First::HangsUp) | None => {}
            }
            let events: Vec<Value> = serde_json::from_slice(body).unwrap();
            let key = header("idempotency-key").to_owned();
            assert!(!key.is_empty() && key.len() <= 255, "{key}");
            let answer = serde_json::to_string(&events).unwrap();
            let before = self.stored.insert(key, events.clone());
            assert!(before.is_none_or(|before| before == events));
            first.is_none().then_some(("200 OK", answer))
        }

        fn events(&self) -> usize {
            self.stored.values().map(Vec::len).sum()
        }
    }

    fn arguments(url: &str, more: &[&str]) -> Arguments {
        Arguments::parse_from([&["seed", "--url", url, "--key", "k1", "--events", "1000", "--now", "2025-11-23T21:00:00Z"], more].concat())
    }

    fn patience() -> Patience {
        Patience { retries: 5, first_pause: Duration::ZERO, longest_pause: Duration::ZERO }
    }

    #[tokio::test]
    async fn exactly_as_many_events_as_asked_for_are_stored_over_connections_that_stay_open() {
        let (url, service, tasks) = listen(&[]).await;
        let tally = tasks.run_until(seed(&arguments(&url, &["--connections", "4"]), patience())).await.unwrap();
        let service = service.borrow();
        assert_eq!((service.events(), tally.events, tally.retries), (1000, 1000, 0));
        assert_eq!(tally.categories.values().sum::<u32>(), 1000);
        assert_eq!((service.stored.len(), service.batches), (tally.times.len(), tally.times.len()));
        assert!(service.stored.values().all(|batch| batch.len() <= 50));
        assert!(service.connections <= 8, "{} connections for {} batches", service.connections, service.batches);
    }

    #[tokio::test]
    async fn a_batch_that_has_to_be_sent_again_counts_once() {
        let (url, service, tasks) = listen(&[First::Busy, First::HangsUp, First::Busy]).await;
        let tally = tasks.run_until(seed(&arguments(&url, &[]), patience())).await.unwrap();
        let service = service.borrow();
        assert_eq!((service.events(), tally.events, tally.retries), (1000, 1000, 3));
        assert_eq!(service.batches, service.stored.len() + 3);
    }

    #[tokio::test]
    async fn the_same_command_at_the_same_moment_stores_nothing_new() {
        let (url, service, tasks) = listen(&[]).await;
        for (more, expected) in
            [(&[][..], 1000), (&[], 1000), (&["--seed", "7"], 2000), (&["--batch", "9"], 3000), (&["--days", "9"], 4000)]
        {
            tasks.run_until(seed(&arguments(&url, more), patience())).await.unwrap();
            assert_eq!(service.borrow().events(), expected, "{more:?}");
        }
    }

    #[tokio::test]
    async fn a_refused_key_ends_it_at_once_with_what_the_service_says() {
        let (url, service, tasks) = listen(&[First::Refuses]).await;
        let error = tasks.run_until(seed(&arguments(&url, &["--connections", "1"]), patience())).await.unwrap_err();
        assert_eq!(chain(&error), "/api/v1/events/batch refuses the batch with 401 Unauthorized: Invalid API key");
        assert_eq!(service.borrow().batches, 1);
    }

    #[tokio::test]
    async fn a_service_that_does_not_run_is_one_clear_line() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = seed(&arguments(&url, &[]), patience()).await.unwrap_err();
        assert_eq!(chain(&error), format!("nothing answers at {url}: start it with `make run`"));
    }

    #[test]
    fn the_table_has_colour_only_where_asked_and_the_same_columns_either_way() {
        let tally = || Tally {
            events: 1234,
            retries: 1,
            times: vec![Duration::from_millis(4), Duration::from_micros(12_340)],
            categories: [(Category::Order, 234), (Category::PageView, 1000)].into(),
            took: Duration::from_millis(500),
        };
        let plain = table(tally(), false);
        let expected = "\
events                   1,234
batches                      2
seconds                    0.5
events/s                 2,468
p50 of a batch          4.0 ms
p99 of a batch         12.3 ms
retries                      1

category                events
page_view                1,000   81.0 %
order                      234   19.0 %
";
        assert_eq!(plain, expected);
        let coloured = table(tally(), true);
        assert!(coloured.contains('\u{1b}'));
        let without_codes: String = coloured
            .split('\u{1b}')
            .enumerate()
            .map(|(at, text)| if at == 0 { text } else { &text[text.find('m').unwrap() + 1..] })
            .collect();
        let trimmed: String = without_codes.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
        assert_eq!(trimmed, expected);
    }

    #[test]
    fn a_batch_may_have_at_most_100_events() {
        assert!(Arguments::try_parse_from(["seed", "--batch", "100"]).is_ok());
        for wrong in [["--batch", "101"], ["--batch", "0"], ["--events", "0"], ["--connections", "0"], ["--now", "yesterday"]] {
            assert!(Arguments::try_parse_from([&["seed"][..], &wrong].concat()).is_err(), "{wrong:?}");
        }
    }
}
