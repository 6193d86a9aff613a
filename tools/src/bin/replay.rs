//! Sends events of the past again, and shows how far that is: `make replay STREAM=order:42 TARGET=shop`.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::styling::{AnsiColor, Style};
use hyper::StatusCode;
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::{Value, json};
use tools::http_client::{self, HttpClient, HttpError, SetupError};

const REPLAY: &str = "/api/v1/events/replay";
/// How often it is asked how far the replay is.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often that may fail before it is given up. The replay goes on without anybody looking.
const MOST_FAILURES: u32 = 20;

/// Send events of the past again, and watch.
#[derive(Debug, Parser)]
#[command(name = "replay")]
struct Arguments {
    /// The stream to send again, such as order:42.
    #[arg(long, required_unless_present = "start", conflicts_with = "start")]
    stream: Option<String>,
    /// From which version of the stream on.
    #[arg(long, requires = "stream")]
    from: Option<u64>,
    /// Instead of a stream: what happened from this moment on.
    #[arg(long, requires = "end")]
    start: Option<String>,
    /// Until when.
    #[arg(long, requires = "start")]
    end: Option<String>,
    /// Only events of this type.
    #[arg(long, requires = "start")]
    event_type: Option<String>,
    /// Who gets them: a subscription's name or id, processor:NAME, or eventbridge:NAME.
    #[arg(long)]
    target: Option<String>,
    /// Everybody gets them who selects them.
    #[arg(long, conflicts_with = "target")]
    all: bool,
    /// Only say what would be sent.
    #[arg(long)]
    dry_run: bool,
    /// The most events a second.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Where the service is.
    #[arg(long, default_value = "http://127.0.0.1:8230")]
    url: String,
    /// An API key of an administrator [default: the one in .data/dev-key, else EVENTS_API_KEY].
    #[arg(long)]
    key: Option<String>,
}

/// There is nothing to show.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error("nothing answers at {0}: start it with `make run`")]
    NotRunning(String),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("the service refuses this with {status}: {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// What a replay was answered with.
#[derive(Debug, Deserialize)]
struct Started {
    replay_id: Option<String>,
    events_count: u64,
    events_count_is_exact: bool,
    events: Vec<Planned>,
}

/// An event that would be sent.
#[derive(Debug, Deserialize)]
struct Planned {
    event_id: String,
    event_type: String,
    stream_id: String,
    stream_version: u64,
}

/// How far a replay is.
#[derive(Debug, Clone, Deserialize)]
struct Replay {
    #[serde(rename = "replay_id")]
    id: String,
    status: String,
    events_count: u64,
    replayed: u64,
    skipped: u64,
    failed: u64,
    failures: Vec<Failure>,
    reason: Option<String>,
    started_at: chrono::DateTime<chrono::Utc>,
    updated_at: chrono::DateTime<chrono::Utc>,
}

/// An event that was not taken.
#[derive(Debug, Clone, Deserialize)]
struct Failure {
    event_id: String,
    reason: String,
}

/// What there is to show.
#[derive(Debug)]
enum Shown {
    Plan(Started),
    End(Replay),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let in_colour = std::io::stdout().is_terminal() && tools::environment("NO_COLOR").is_none();
    match replay(&arguments).await {
        Ok(Shown::Plan(plan)) => {
            print!("{}", plan_table(&plan, in_colour));
            ExitCode::SUCCESS
        }
        Ok(Shown::End(end)) => {
            print!("{}", end_table(&end, in_colour));
            if end.status == "completed" && end.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
            eprintln!("error: {}", causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")));
            ExitCode::FAILURE
        }
    }
}

async fn replay(arguments: &Arguments) -> Result<Shown, ReplayError> {
    let client = HttpClient::new(&arguments.url)?;
    // Before the key: where the service never ran, there is none either.
    match client.get("/health").await {
        Err(HttpError::Unreachable { base }) => return Err(ReplayError::NotRunning(base)),
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let client = client.with_key(&http_client::api_key(arguments.key.as_deref())?)?;
    let answer = accepted(client.post(REPLAY, http_client::body(&request(arguments))?).await?)?;
    let started: Started = answer.json()?;
    match &started.replay_id {
        None => Ok(Shown::Plan(started)),
        Some(id) => Ok(Shown::End(watch(&client, id, started.events_count).await?)),
    }
}

fn request(arguments: &Arguments) -> Value {
    json!({
        "stream_id": arguments.stream,
        "from_version": arguments.from,
        "start_time": arguments.start,
        "end_time": arguments.end,
        "event_type": arguments.event_type,
        "target_service": arguments.target,
        "all": arguments.all.then_some(true),
        "dry_run": arguments.dry_run,
        "rate_limit": arguments.rate,
    })
}

fn accepted(answer: http_client::Answer) -> Result<http_client::Answer, ReplayError> {
    if answer.status == StatusCode::OK { Ok(answer) } else { Err(ReplayError::Refused { status: answer.status, detail: answer.detail() }) }
}

/// Looks until the replay has ended.
async fn watch(client: &HttpClient, id: &str, events: u64) -> Result<Replay, ReplayError> {
    let progress = Progress::new(events, id);
    let mut failures = 0;
    loop {
        match client.get(&format!("{REPLAY}/{id}")).await.map_err(ReplayError::from).and_then(accepted) {
            Ok(answer) => {
                let replay: Replay = answer.json()?;
                failures = 0;
                progress.show(&replay);
                if replay.status != "running" {
                    progress.end();
                    return Ok(replay);
                }
            }
            Err(error) if failures == MOST_FAILURES => {
                progress.end();
                return Err(error);
            }
            Err(_) => failures += 1,
        }
        tools::rest(LOOK_EVERY).await;
    }
}

/// How far it is: a bar on a terminal, else two lines.
enum Progress {
    Bar(ProgressBar),
    Lines,
}

impl Progress {
    fn new(all: u64, id: &str) -> Self {
        eprintln!("replay {id}: it goes on by itself if you leave; DELETE {REPLAY}/{id} cancels it");
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::new(all);
        if let Ok(style) = ProgressStyle::with_template("{bar:40.cyan/blue} {human_pos} of {human_len} events, {msg}{eta} left") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    fn show(&self, replay: &Replay) {
        if let Self::Bar(bar) = self {
            bar.set_position(replay.replayed + replay.skipped + replay.failed);
            if replay.failed > 0 {
                bar.set_message(format!("{} failed, ", HumanCount(replay.failed)));
            }
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// How lines of a table look.
struct Look {
    bold: Style,
    number: Style,
    warning: Style,
}

impl Look {
    fn new(in_colour: bool) -> Self {
        let style = |style: Style| if in_colour { style } else { Style::new() };
        Self { bold: style(Style::new().bold()), number: style(AnsiColor::Green.on_default()), warning: style(AnsiColor::Red.on_default()) }
    }
}

/// The report of a dry run.
fn plan_table(plan: &Started, in_colour: bool) -> String {
    let Look { bold, number, .. } = Look::new(in_colour);
    let least = if plan.events_count_is_exact { "" } else { "at least " };
    let mut text = format!("{least}{number}{}{number:#} events would be sent, and none was\n", HumanCount(plan.events_count));
    // Writing to a string does not fail.
    for event in plan.events.iter().take(20) {
        let Planned { event_id, event_type, stream_id, stream_version } = event;
        writeln!(text, "{event_id}  {bold}{event_type:<28}{bold:#}  {stream_id} {stream_version}").unwrap_or_default();
    }
    if plan.events_count > 20 && !plan.events.is_empty() {
        text.push_str("…\n");
    }
    text
}

/// The report of a replay that has ended.
fn end_table(end: &Replay, in_colour: bool) -> String {
    let Look { bold, number, warning } = Look::new(in_colour);
    let took = (end.updated_at - end.started_at).to_std().unwrap_or_default();
    let mut text = String::new();
    let mut line = |name: &str, value: &str, style: &Style| {
        // Writing to a string does not fail.
        writeln!(text, "{name:<10}{style}{value:>14}{style:#}").unwrap_or_default();
    };
    line("status", &end.status, if end.status == "completed" { &bold } else { &warning });
    line("events", &HumanCount(end.events_count).to_string(), &number);
    line("replayed", &HumanCount(end.replayed).to_string(), &number);
    line("skipped", &HumanCount(end.skipped).to_string(), &number);
    line("failed", &HumanCount(end.failed).to_string(), if end.failed > 0 { &warning } else { &number });
    line("took", &HumanDuration(took).to_string(), &number);
    if let Some(reason) = &end.reason {
        writeln!(text, "\n{warning}{reason}{warning:#}").unwrap_or_default();
    }
    for Failure { event_id, reason } in end.failures.iter().take(10) {
        writeln!(text, "{event_id}  {reason}").unwrap_or_default();
    }
    if end.failures.len() > 10 {
        writeln!(text, "… all of them: GET {REPLAY}/{}", end.id).unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: &str, failed: u64) -> Replay {
        let failures =
            (0..failed).map(|number| Failure { event_id: format!("event-{number}"), reason: "the receiver answered 400".to_owned() });
        Replay {
            id: "r1".to_owned(),
            status: status.to_owned(),
            events_count: 1500,
            replayed: 1500 - failed,
            skipped: 0,
            failed,
            failures: failures.collect(),
            reason: (status == "failed").then(|| "the target takes nothing".to_owned()),
            started_at: chrono::DateTime::UNIX_EPOCH,
            updated_at: chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(15),
        }
    }

    #[test]
    fn the_end_is_a_table_with_what_failed_below() {
        let table = end_table(&ended("completed", 0), false);
        assert_eq!(
            table,
            "status         completed\nevents             1,500\nreplayed           1,500\nskipped                0\nfailed                 0\ntook          15 seconds\n"
        );
        let table = end_table(&ended("failed", 12), true);
        assert!(table.contains("the target takes nothing") && table.contains("event-9 ") && !table.contains("event-10 "), "{table}");
        assert!(table.contains("… all of them: GET /api/v1/events/replay/r1") && table.contains('\u{1b}'));
    }

    #[test]
    fn a_dry_run_names_the_first_events() {
        let events = (0..25).map(|number| Planned {
            event_id: format!("event-{number}"),
            event_type: "order.placed".to_owned(),
            stream_id: "order:1".to_owned(),
            stream_version: number + 1,
        });
        let plan = Started { replay_id: None, events_count: 25, events_count_is_exact: false, events: events.collect() };
        let table = plan_table(&plan, false);
        assert!(table.starts_with("at least 25 events would be sent, and none was\nevent-0  order.placed"), "{table}");
        assert!(table.ends_with("order:1 20\n…\n"), "{table}");
    }

    #[test]
    fn one_says_what_and_to_whom() {
        let read = |text: &str| Arguments::try_parse_from(text.split(' ')).map(|arguments| request(&arguments));
        let asked = read("replay --stream order:1 --from 3 --target shop --dry-run").unwrap();
        assert_eq!(
            (&asked["stream_id"], &asked["from_version"], &asked["target_service"], &asked["dry_run"]),
            (&json!("order:1"), &json!(3), &json!("shop"), &json!(true))
        );
        let asked = read("replay --start 2026-11-01 --end 2026-11-02 --all --event-type a").unwrap();
        assert_eq!((&asked["start_time"], &asked["all"], &asked["stream_id"]), (&json!("2026-11-01"), &json!(true), &Value::Null));
        for wrong in
            ["replay", "replay --start 2026-11-01", "replay --stream a:1 --start x --end y", "replay --stream a:1 --all --target x"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
