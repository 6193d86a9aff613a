//! What is done to a service in one run: all of it follows from a seed.

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use shared::domain::queue::WorkQueue;

use super::surroundings::SHARDS;

/// The secret of everybody who checks signatures.
pub(super) const SECRET: &str = "secret123";
/// The organizations, and none.
const ORGANIZATIONS: [Option<&str>; 3] = [None, Some("acme"), Some("globex")];
const TYPES: [&str; 3] = ["order.placed", "order.changed", "user.created"];
/// A message of another service that nobody can read.
pub(super) const NONSENSE: &str = "{\"type\": ";
/// The type of events that a transform derives.
pub(super) const DERIVED: &str = "derived";

/// A way to register somebody, and how it is changed later.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) subscriptions: Vec<Value>,
    pub(super) processors: Vec<Value>,
    pub(super) moves: Vec<Move>,
}

/// A line for each of those who are registered, and for each step.
impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for registered in self.subscriptions.iter().chain(&self.processors) {
            writeln!(formatter, "{registered}")?;
        }
        for Move { step, process, killed_after, turns } in &self.moves {
            let killed = killed_after.map_or_else(String::new, |after| format!(" killed after {after}"));
            write!(formatter, "[{process}]{killed} then {turns} turns: ")?;
            if let Step::Ask { method, path, body } = step {
                writeln!(formatter, "{method} {path} {body}")?;
            } else {
                writeln!(formatter, "{step:?}")?;
            }
        }
        Ok(())
    }
}

/// A step, and how it goes.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) step: Step,
    /// Which process does it.
    pub(super) process: usize,
    /// After how many turns it is killed.
    pub(super) killed_after: Option<u32>,
    /// How many turns everything that is under way gets before the next step.
    pub(super) turns: u32,
}

/// What is done.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A request of a client.
    Ask { method: &'static str, path: String, body: Value },
    /// A processor is switched on or off, by its place in the plan.
    Switch { processor: usize },
    /// Records of a shard are handed to the dispatcher, beginning so many before those that are new.
    Dispatch { shard: usize, back: usize, most: usize },
    /// The same for the one who counts.
    Count { shard: usize, back: usize, most: usize },
    /// Another service sends a message by way of the broker.
    OtherSends { body: String },
    /// Messages of others are taken in.
    Ingest { most: usize },
    /// The broker gives again what was not settled.
    Redeliver,
    /// The broker goes away, or comes back.
    Broker { away: bool },
    /// Messages are taken from a queue.
    Take { queue: WorkQueue, most: usize },
    /// The schedule runs.
    Sweep { whole_day: bool },
    /// Time passes, once nothing is under way.
    Pass { seconds: u64 },
    /// A process is killed, and another takes its place.
    Restart,
    /// A receiver goes away, or comes back.
    Receiver { url: String, away: bool },
    /// The bus goes away, or comes back.
    Bus { away: bool },
}

/// The id of a subscription of the plan.
pub(super) fn subscription_id(number: usize) -> String {
    format!("s{number}")
}

/// An address of a subscription. Those of other numbers and ages are others.
fn address(number: usize, age: usize, dead: bool) -> String {
    format!("http://s{number}-{age}{}.test/", if dead { "-dead" } else { "" })
}

/// Whose address it is.
pub(super) fn owner(url: &str) -> &str {
    url.trim_start_matches("http://").split(['-', '.']).next().unwrap_or_default()
}

pub(super) fn plan(seed: u64) -> Plan {
    let mut dice = StdRng::seed_from_u64(seed);
    let subscriptions: Vec<Value> = (0..dice.random_range(1..4)).map(|number| subscription(&mut dice, number)).collect();
    let processors = processors(&mut dice);
    let mut ages = vec![0; subscriptions.len()];
    let moves = (0..dice.random_range(20..90))
        .map(|_| Move {
            step: step(&mut dice, &subscriptions, &mut ages, &processors),
            process: dice.random_range(0..2),
            killed_after: dice.random_bool(0.08).then(|| dice.random_range(0..60)),
            turns: if dice.random_bool(0.4) { 10_000 } else { dice.random_range(0..40) },
        })
        .collect();
    Plan { subscriptions, processors, moves }
}

fn subscription(dice: &mut StdRng, number: usize) -> Value {
    let policies = [
        json!({"backoff_seconds": [10], "max_retries": 2}),
        json!({"backoff_seconds": [5, 60, 1200], "max_retries": 3}),
        json!({"backoff_seconds": [1, 5, 30, 100, 300], "max_retries": 8}),
        json!({}),
    ];
    let types = [json!(["*"]), json!(["order.*"]), json!(["user.created", "derived"]), json!(["order.placed", "order.changed"])];
    let dead = dice.random_bool(0.1);
    // What never succeeds takes as long as its policy says, event after event: a run is not to last for days.
    let policies = if dead { &policies[..2] } else { &policies[..] };
    let mut subscription = json!({
        "subscription_id": subscription_id(number),
        "subscriber_name": subscription_id(number),
        "event_types": types.choose(dice),
        "callback_url": address(number, 0, dead),
        "webhook_secret": SECRET,
        "retry_policy": policies.choose(dice),
        "ordering": if dice.random_bool(0.6) { "stream" } else { "none" },
        "delivery_log": if dice.random_bool(0.2) { "all" } else { "failures" },
    });
    if dice.random_bool(0.2) {
        subscription["rate_limit"] = json!(dice.random_range(1..4));
    }
    if let Some(organization) = ORGANIZATIONS.choose(dice).copied().flatten() {
        subscription["organization_id"] = json!(organization);
    }
    subscription
}

fn processors(dice: &mut StdRng) -> Vec<Value> {
    let webhook = |name: &str, priority: i64, retries: u32| {
        json!({
            "processor_name": name, "processor_type": "webhook", "priority": priority, "max_retries": retries, "backoff_seconds": [10, 60],
            "config": {"url": format!("http://{name}.test/"), "secret": SECRET}
        })
    };
    let mut first = webhook("p0", 5, 3);
    if dice.random_bool(0.5) {
        first["filters"] = json!({"event_type": ["order.*"]});
    }
    let mut second = webhook("p1", -5, 1);
    second["organization_id"] = json!("acme");
    let transform = json!({
        "processor_name": "t", "processor_type": "transform", "priority": 9, "max_retries": 3, "backoff_seconds": [10],
        "filters": {"event_type": "order.placed"}, "config": {"event_type": DERIVED}
    });
    let unknown = json!({"processor_name": "u", "processor_type": "teleport", "filters": {"event_type": "user.created"}});
    let dead = json!({
        "processor_name": "d", "processor_type": "webhook", "max_retries": 1, "backoff_seconds": [5],
        "config": {"url": "http://d-dead.test/", "secret": SECRET}, "filters": {"event_type": "order.changed"}
    });
    [first, second, transform, unknown, dead].into_iter().filter(|_| dice.random_bool(0.4)).collect()
}

fn step(dice: &mut StdRng, subscriptions: &[Value], ages: &mut [usize], processors: &[Value]) -> Step {
    let shard = dice.random_range(0..SHARDS);
    let back = if dice.random_bool(0.1) { dice.random_range(1..10) } else { 0 };
    let most = dice.random_range(1..20);
    match dice.random_range(0..100) {
        ..16 => record(dice),
        16..22 => collect(dice),
        22..38 => Step::Dispatch { shard, back, most },
        38..42 => Step::Count { shard, back, most },
        42..45 => Step::OtherSends { body: message(dice) },
        45..48 => Step::Ingest { most: dice.random_range(1..6) },
        48 => [Step::Redeliver, Step::Broker { away: true }, Step::Broker { away: false }].choose(dice).unwrap().clone(),
        49 => {
            let path = format!("/api/v1/events/projections/order/{}", dice.random_range(0..3));
            Step::Ask { method: "GET", path, body: Value::Null }
        }
        50..78 => {
            use WorkQueue::{Collect, Deliver, Nats, Process, Retry};
            let queues = [Process, Process, Retry, Deliver, Deliver, Deliver, Collect, Nats, Nats];
            Step::Take { queue: *queues.choose(dice).unwrap(), most: dice.random_range(1..=10) }
        }
        78..82 => Step::Sweep { whole_day: dice.random_bool(0.3) },
        82..91 => {
            let seconds = match dice.random_range(0..10) {
                ..5 => dice.random_range(1..30),
                5..8 => dice.random_range(30..600),
                _ => dice.random_range(600..6_000),
            };
            Step::Pass { seconds }
        }
        91..93 => Step::Restart,
        93..95 => change(dice, subscriptions, ages),
        95 if !processors.is_empty() => Step::Switch { processor: dice.random_range(0..processors.len()) },
        96 => Step::Bus { away: dice.random_bool(0.5) },
        _ => {
            let number = dice.random_range(0..subscriptions.len());
            let url = if dice.random_bool(0.3) { "http://p0.test/".to_owned() } else { address(number, ages[number], false) };
            Step::Receiver { url, away: dice.random_bool(0.6) }
        }
    }
}

/// A page sends what happened there, some of it again.
fn collect(dice: &mut StdRng) -> Step {
    let event = |dice: &mut StdRng| {
        let number = dice.random_range(0..20);
        json!({
            "event_type": "product_view", "category": "page_view", "session_id": format!("s{}", number % 3),
            "message_id": format!("page-{number}"), "data": {"mark": format!("page-{number}")},
        })
    };
    if dice.random_bool(0.5) {
        return Step::Ask { method: "POST", path: "/api/v1/events/frontend".to_owned(), body: event(dice) };
    }
    let events: Vec<Value> = (0..dice.random_range(1..6)).map(|_| event(dice)).collect();
    Step::Ask { method: "POST", path: "/api/v1/events/frontend/batch".to_owned(), body: json!({ "events": events }) }
}

/// What another service sends, some of it again, and some of it nonsense.
fn message(dice: &mut StdRng) -> String {
    if dice.random_bool(0.1) {
        return NONSENSE.to_owned();
    }
    let number = dice.random_range(0..30);
    json!({
        "id": format!("other-{number}"), "type": "user.created", "source": "crm",
        "data": {"mark": format!("other-{number}"), "user_id": format!("u{}", number % 2)},
    })
    .to_string()
}

fn record(dice: &mut StdRng) -> Step {
    let event = |dice: &mut StdRng| {
        let mut event = json!({
            "event_type": TYPES.choose(dice),
            "stream_id": format!("order:{}", dice.random_range(0..3)),
            "data": {"number": dice.random_range(0..1_000)},
        });
        if let Some(organization) = ORGANIZATIONS.choose(dice).copied().flatten() {
            event["organization_id"] = json!(organization);
        }
        if dice.random_bool(0.1) {
            // Now and then the one that another organization has chosen as well.
            event["event_id"] = json!(format!("00000000-0000-4000-8000-{:012}", dice.random_range(0..8)));
        }
        event
    };
    if dice.random_bool(0.5) {
        let body = event(dice);
        return Step::Ask { method: "POST", path: "/api/v1/events/create".to_owned(), body };
    }
    let events: Vec<Value> = (0..dice.random_range(1..8)).map(|_| event(dice)).collect();
    Step::Ask { method: "POST", path: "/api/v1/events/batch".to_owned(), body: json!({ "events": events }) }
}

fn change(dice: &mut StdRng, subscriptions: &[Value], ages: &mut [usize]) -> Step {
    let number = dice.random_range(0..subscriptions.len());
    let path = format!("/api/v1/events/subscriptions/{}", subscription_id(number));
    let body = match dice.random_range(0..7) {
        0 | 1 => json!({"enabled": false}),
        2 | 3 => json!({"enabled": true}),
        4 => {
            ages[number] += 1;
            json!({"callback_url": address(number, ages[number], false)})
        }
        5 => return Step::Ask { method: "DELETE", path, body: json!({}) },
        _ => {
            let mut again = subscriptions[number].clone();
            ages[number] += 1;
            again["callback_url"] = json!(address(number, ages[number], false));
            return Step::Ask { method: "POST", path: "/api/v1/events/subscriptions".to_owned(), body: again };
        }
    };
    Step::Ask { method: "PATCH", path, body }
}
