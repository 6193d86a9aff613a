//! What the model has to say, section by section.

use crate::bill::Service;
use crate::deployment::{Deployment, DeploymentError, Source};
use crate::document::{Block, Table, dollars};
use crate::inputs;
use crate::months::months;
use crate::rest::at_rest;
use crate::traffic::{Door, Traffic, per_million};
use tools::prices;

/// Events a second where they come alone: a quarter of a million a month.
const LOW: f64 = 0.1;
/// Events a second where many come together.
const HIGH: f64 = 1000.0;
/// The rates in between, for what depends on them.
const RATES: [f64; 5] = [LOW, 1.0, 10.0, 100.0, HIGH];

/// What a million single events should cost.
const SINGLE_GOAL: (f64, f64) = (3.3, 4.3);
/// What a million events in batches of twenty should cost.
const BATCH_GOAL: (f64, f64) = (0.6, 0.9);

/// What follows from an event.
const VARIANTS: [(&str, bool, bool, bool); 5] = [
    ("plain", false, false, false),
    ("one processor", true, false, false),
    ("one webhook subscriber", false, true, false),
    ("EventBridge", false, false, true),
    ("all three", true, true, true),
];

const KINDS: [(&str, Traffic); 2] = [("single", Traffic::SINGLE), ("batch of 20", Traffic::BATCH)];

type Blocks = Result<Vec<Block>, DeploymentError>;

/// Everything.
pub(crate) fn report(deployment: &Deployment) -> Blocks {
    let mut blocks = vec![Block::Text(introduction(deployment))];
    blocks.extend(months(deployment)?);
    blocks.extend(goals(deployment)?);
    blocks.extend(rest(deployment)?);
    blocks.extend(traffic(deployment)?);
    blocks.extend(collection(deployment)?);
    blocks.extend(storage(deployment));
    blocks.extend(archive(deployment));
    blocks.extend(changes(deployment)?);
    blocks.extend(assumptions(deployment)?);
    Ok(blocks)
}

fn introduction(deployment: &Deployment) -> String {
    format!(
        "Reckoned by `make cost` (`scripts/cost write` writes this file) from [template.yaml](../template.yaml), the units in \
         [performance.md](performance.md), and list prices of us-east-1, which are to be checked: they change, differ between regions and fall \
         with volume. **Write and read units are measured; how long functions run on AWS and how Lambda polls are assumptions**, below. Functions \
         are built for {}; dollars without taxes, no free tier unless it is named. An event has 1 KB.",
        deployment.architecture.name()
    )
}

fn with(traffic: Traffic, (_, processor, subscriber, bus): (&str, bool, bool, bool)) -> Traffic {
    Traffic { processor, subscriber, bus, ..traffic }
}

/// Events of pages, apps and SDKs.
fn collection(deployment: &Deployment) -> Blocks {
    let [page, sdk] = inputs::COLLECT_BATCH_WRITE_UNITS;
    let single = Traffic { write_units: inputs::COLLECT_WRITE_UNITS, ..Traffic::SINGLE };
    let plain = Traffic { write_units: inputs::CREATE_WRITE_UNITS, ..Traffic::SINGLE };
    let batch = |write_units| Traffic { write_units, ..Traffic::BATCH };
    let mut table = Table::new(["dollars a million", "by the function URL", "by the API"]);
    for (kind, traffic) in [
        ("single, without a message id", plain),
        ("single, with one", single),
        ("batch of 20 of a page", batch(page)),
        ("batch of 20 of an SDK", batch(sdk)),
    ] {
        let total = |door| Ok::<f64, DeploymentError>(per_million(deployment, Traffic { door, ..traffic }.at(HIGH))?.total());
        table.row([kind.to_owned(), dollars(total(Door::CollectorByUrl)?), dollars(total(Door::CollectorByApi)?)]);
    }
    let text = "No authorizer is asked. A message that counts once is stored and noted in one transaction, which DynamoDB counts double: that weighs on \
                single messages and hardly on batches. SDKs have no function URL."
        .to_owned();
    Ok(vec![Block::Heading(format!("A million collected events, many: {HIGH} a second")), Block::Table(table), Block::Text(text)])
}

fn verdict(total: f64, (low, high): (f64, f64)) -> String {
    if total > high {
        format!("**missed** by {}", dollars(total - high))
    } else if total < low {
        "met, below it".to_owned()
    } else {
        "met".to_owned()
    }
}

fn goals(deployment: &Deployment) -> Blocks {
    let few = format!("at {LOW} a second");
    let many = format!("at {HIGH} a second");
    let mut table = Table::new(["dollars a million", "goal", &many, "goal met?", &few, "goal met?"]);
    for ((kind, traffic), goal) in KINDS.into_iter().zip([SINGLE_GOAL, BATCH_GOAL]) {
        for variant in VARIANTS {
            let total = |rate: f64| Ok::<f64, DeploymentError>(per_million(deployment, with(traffic, variant).at(rate))?.total());
            let (many, few) = (total(HIGH)?, total(LOW)?);
            table.row([
                format!("{kind}, {}", variant.0),
                format!("{:.2}–{:.2}", goal.0, goal.1),
                dollars(many),
                verdict(many, goal),
                dollars(few),
                verdict(few, goal),
            ]);
        }
    }
    let plain = per_million(deployment, Traffic::SINGLE.at(HIGH))?.total();
    let processed = per_million(deployment, Traffic { processor: true, ..Traffic::SINGLE }.at(HIGH))?.total();
    let upper = per_million(deployment, Traffic { write_units: inputs::BATCH_WRITE_UNITS_GOAL, ..Traffic::BATCH }.at(HIGH))?.total();
    let other =
        per_million(deployment, Traffic { write_units: inputs::CREATE_OTHER_ENTITY_WRITE_UNITS, ..Traffic::SINGLE }.at(HIGH))?.total();
    let bus = if deployment.bus_on { "on" } else { "off" };
    let text = format!(
        "Each variant is held to the same goal. Where it is missed, it is for one or more of these:\n\n\
         - **The bus** costs a dollar for each event that is put on it, batch or not, {} with its archive and its queue; a processor doubles that, since \
           its result is told too. No batch of 20 can meet its goal with it. It is {bus} by default.\n\
         - **A processor** adds {} to a single event at {HIGH} a second: a write unit for the outcome, which is counted and dispatched as the event was, \
           four read units, and three calls of a FIFO queue, shared as far as messages come together. A batch has all of that once.\n\
         - **Webhooks** are sent one by one: reads, waiting for the receiver and the bytes are paid for each event, so a batch saves little of them.\n\
         - **Counting** at low traffic: an event that comes alone takes some nine write units in the counters, more than itself. \
           At {LOW} events a second that is {} a month in all, so it is a high price of few events.\n\n\
         A single event in another entity's stream or with a session has an index more: {} instead at {HIGH} a second. A batch whose events resemble each other \
         less than the bench's takes up to {} units an event: {} instead.",
        dollars(prices::BUS_EVENTS_MILLION + inputs::BUS_EVENT_BYTES * prices::ARCHIVE_GB / 1000.0 + prices::SQS_CALLS_MILLION),
        dollars(processed - plain),
        dollars(counting_a_month(LOW)),
        dollars(other),
        inputs::BATCH_WRITE_UNITS_GOAL,
        dollars(upper),
    );
    Ok(vec![Block::Heading("Goals".to_owned()), Block::Table(table), Block::Text(text)])
}

/// What counting single events that come alone costs in a month.
fn counting_a_month(rate: f64) -> f64 {
    let [alone, ..] = &inputs::COUNTED;
    rate * 86_400.0 * 30.0 * (alone.write_units * prices::WRITE_UNITS_MILLION + alone.read_units * prices::READ_UNITS_MILLION) / 1_000_000.0
}

fn rest(deployment: &Deployment) -> Blocks {
    let with_alarms = at_rest(deployment, true)?;
    let without_alarms = at_rest(deployment, false)?;
    let mut table = Table::new(["a month", "dollars", "with the free tier", "how it is reckoned"]);
    for item in &with_alarms.0 {
        table.row([item.name.to_owned(), dollars(item.dollars), dollars(item.with_free_tier), item.how.clone()]);
    }
    for (name, rest) in [("**all, `Alarms=on`**", &with_alarms), ("**all, `Alarms=off`**", &without_alarms)] {
        let (dear, free) = rest.totals();
        table.row([name.to_owned(), dollars(dear), dollars(free), String::new()]);
    }
    let default = if deployment.alarms_on { "on" } else { "off" };
    let text = format!(
        "A deployed service to which nothing happens is not free. `Alarms` is {default} by default. The free tier here is the part that does not end: a million \
         calls of Lambda and of SQS, ten alarms, ten metrics, three dashboards, 5 GB of logs; it is the account's, and this supposes that nothing else uses it. \
         Without a dashboard's price (one of the account's first three), the month comes to {}. The empty table, the API, the bus, the rule that calls \
         the sweep and reads of the table's stream by Lambda cost nothing at rest. With processors defined the sweep also looks for what waits, a few read \
         units more each time.",
        dollars(with_alarms.totals().0 - f64::from(deployment.dashboards) * prices::DASHBOARD_MONTH),
    );
    Ok(vec![Block::Heading("At rest".to_owned()), Block::Table(table), Block::Text(text)])
}

fn traffic(deployment: &Deployment) -> Blocks {
    let mut blocks = Vec::new();
    for (name, rate) in [("many", HIGH), ("few", LOW)] {
        let header =
            ["dollars a million".to_owned()].into_iter().chain(Service::ALL.iter().map(ToString::to_string)).chain(["all".to_owned()]);
        let mut table = Table::new(header);
        for (kind, traffic) in KINDS {
            for variant in VARIANTS {
                let bill = per_million(deployment, with(traffic, variant).at(rate))?;
                let cells = Service::ALL.iter().map(|service| dollars(bill.of(*service)));
                table.row([format!("{kind}, {}", variant.0)].into_iter().chain(cells).chain([dollars(bill.total())]));
            }
        }
        blocks.push(Block::Heading(format!("A million events, {name}: {rate} a second")));
        blocks.push(Block::Table(table));
    }
    let mut table =
        Table::new(["dollars a million, plain".to_owned()].into_iter().chain(RATES.iter().map(|rate| format!("{rate} a second"))));
    for (kind, traffic) in KINDS {
        let totals = RATES
            .iter()
            .map(|rate| Ok(dollars(per_million(deployment, traffic.at(*rate))?.total())))
            .collect::<Result<Vec<_>, DeploymentError>>()?;
        table.row([kind.to_owned()].into_iter().chain(totals));
    }
    blocks.push(Block::Heading("How it falls with traffic".to_owned()));
    blocks.push(Block::Table(table));
    blocks.push(Block::Text(format!(
        "What falls is what comes together: counters are saved once for all records of a shard within {} s, the dispatcher is called once for those of a \
         quarter of a second, messages are sent and received together. The processor itself, and what it calls, is not in these figures; a `transform` adds \
         the price of the event that it records. A write with an `event_id` or an `Idempotency-Key` takes one write unit more: {} a million requests.",
        deployment.stream("CountEvents")?.1,
        prices::WRITE_UNITS_MILLION,
    )));
    Ok(blocks)
}

/// Bytes of an event in the table and in its index, at most: as many as its write units tell.
fn stored(traffic: Traffic) -> (f64, f64) {
    let half = traffic.write_units / 2.0 * 1024.0 + inputs::ITEM_OVERHEAD_BYTES / traffic.events_a_request;
    (half, half)
}

/// Dollars a month for keeping so many millions of events, and how much of that is for recovery.
pub(crate) fn kept(deployment: &Deployment, traffic: Traffic, millions: f64) -> (f64, f64) {
    let (item, index) = stored(traffic);
    let recovery = if deployment.recovery { millions * item / 1000.0 * prices::RECOVERY_GB_MONTH } else { 0.0 };
    (millions * (item + index) / 1000.0 * prices::TABLE_GB_MONTH + recovery, recovery)
}

fn storage(deployment: &Deployment) -> [Block; 3] {
    let mut table = Table::new(["kept", "GB at most", "dollars a month", "of which recovery"]);
    for (kind, traffic) in KINDS {
        for millions in [1.0, 10.0, 100.0] {
            let (item, index) = stored(traffic);
            let gigabytes = millions * (item + index) / 1000.0;
            let (month, recovery) = kept(deployment, traffic, millions);
            table.row([format!("{millions} million events, {kind}"), format!("{gigabytes:.2}"), dollars(month), dollars(recovery)]);
        }
    }
    let text = format!(
        "Events are kept for good, so this is paid again each month: what came in a year ago costs as much as what came in today. The bytes are an upper bound, \
         from the measured write units (half for the item, half for its row in the time index) and the {:.0} bytes that DynamoDB adds to each. \
         The outcome of a processed event is 1 KB more at most; counters are a few MB. An account's first 25 GB of tables are free.",
        inputs::ITEM_OVERHEAD_BYTES,
    );
    [Block::Heading("Storage".to_owned()), Block::Table(table), Block::Text(text)]
}

/// What moving a million events to the archive takes once, and saves each month.
fn archive(deployment: &Deployment) -> [Block; 3] {
    let mut table = Table::new(["a million events", "once", "a month before", "a month after", "pays after"]);
    for archived in inputs::ARCHIVED {
        let commits = 1_000_000.0 / archived.events;
        // In the table and in its index, of which recovery keeps the one.
        let kept = |bytes: f64| {
            let gigabytes = (bytes + inputs::ITEM_OVERHEAD_BYTES) * commits / 1e9;
            let recovery = if deployment.recovery { prices::RECOVERY_GB_MONTH } else { 0.0 };
            gigabytes * (2.0 * prices::TABLE_GB_MONTH + recovery)
        };
        let written = archived.write_units + crate::traffic::counted(500.0).write_units;
        let once =
            commits * written * prices::WRITE_UNITS_MILLION / 1e6 + commits / inputs::COMMITS_AN_OBJECT * prices::OBJECTS_PUT_MILLION / 1e6;
        let before = kept(archived.bytes);
        let after = kept(archived.left) + archived.packed * commits / 1e9 * prices::OBJECTS_GB_MONTH;
        let kind = if archived.events > 1.0 { format!("in batches of {:.0}", archived.events) } else { "single".to_owned() };
        table.row([kind, dollars(once), dollars(before), dollars(after), format!("{:.1} months", once / (before - after))]);
    }
    let text = format!(
        "`ArchiveAfterDays` is 0 by default: nothing is archived. Bytes and write units are measured (`tests/contract/price.rs`); of events that resemble each other \
         less, and so take more of the table, it saves more. Reading an archived event takes a request to S3 more, {} a million, and what it takes Lambda to wait for it. \
         So archive what is a year old and seldom read; with few events it is not worth it.",
        dollars(prices::OBJECTS_READ_MILLION),
    );
    [Block::Heading("Archive".to_owned()), Block::Table(table), Block::Text(text)]
}

fn changes(deployment: &Deployment) -> Blocks {
    let total = |deployment: &Deployment, traffic: Traffic| Ok::<f64, DeploymentError>(per_million(deployment, traffic)?.total());
    let (single, batch) = (Traffic::SINGLE, Traffic::BATCH);
    let bus = |traffic: Traffic| Traffic { bus: true, ..traffic };
    let provisioned = prices::PROVISIONED_WRITE_UNIT_HOUR / 3600.0 / inputs::PROVISIONED_USE * 1_000_000.0;
    let written = single.write_units + crate::traffic::counted(500.0).write_units;
    let slower = deployment.clone().with_window("CountEvents", 30);
    let later = deployment.clone().with_window("DispatchEvents", 1);
    let window = deployment.stream("CountEvents")?.1;
    let counting = |rate: f64| Ok::<f64, DeploymentError>(total(deployment, single.at(rate))? - total(&slower, single.at(rate))?);

    let mut rows: Vec<(f64, String, String)> = vec![
        (
            total(deployment, single.at(HIGH))? - total(deployment, batch.at(HIGH))?,
            format!("send events of a stream in batches of 20, not one by one ({HIGH} a second)"),
            "callers that can wait".to_owned(),
        ),
        (
            total(deployment, bus(single.at(HIGH)))? - total(deployment, single.at(HIGH))?,
            "`EventBridge=off`; twice as much for events with a processor, the same in batches".to_owned(),
            "nobody may be listening".to_owned(),
        ),
        (
            counting(1.0)?,
            format!("a window of 30 s instead of {window} s for `count-events`, at 1 event a second"),
            "statistics half a minute late".to_owned(),
        ),
        (
            counting(10.0)?,
            format!("a window of 30 s instead of {window} s for `count-events`, at 10 events a second"),
            "statistics half a minute late".to_owned(),
        ),
        (
            (prices::WRITE_UNITS_MILLION - provisioned) * written,
            format!(
                "provisioned capacity at {:.0} % use instead of on demand, at a steady {HIGH} a second",
                inputs::PROVISIONED_USE * 100.0
            ),
            "throttling when traffic jumps".to_owned(),
        ),
        (
            total(deployment, single.at(10.0))? - total(&later, single.at(10.0))?,
            "a window of 1 s for `dispatch-events`, at 10 events a second".to_owned(),
            "processors and webhooks up to a second later".to_owned(),
        ),
        (
            per_million(deployment, single.at(HIGH))?.of(Service::Logs),
            "no access log of the API".to_owned(),
            "who called and what was refused is not known".to_owned(),
        ),
    ];
    rows.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    let mut events = Table::new(["saves a million events", "by", "price of it"]);
    for (saved, change, price) in rows {
        events.row([dollars(saved), change, price]);
    }

    let (on, off) = (at_rest(deployment, true)?, at_rest(deployment, false)?);
    let queues = deployment.sources().filter(|source| matches!(source, Source::Queue { .. })).count();
    let polling =
        at_rest(deployment, false)?.0.iter().filter(|item| item.name.starts_with("polling")).map(|item| item.dollars).sum::<f64>();
    let mut month = Table::new(["saves a month", "by", "price of it"]);
    month.row([
        dollars(on.totals().0 - off.totals().0),
        format!(
            "`Alarms=off`; {} if the dashboard is one of the account's first three",
            dollars(f64::from(deployment.alarm_metrics) * prices::ALARM_MONTH)
        ),
        "nobody hears of trouble: for deployments to try things only".to_owned(),
    ]);
    month.row([
        dollars(polling),
        format!("at most, by switching off the event sources of the {queues} queues where neither processors nor subscriptions exist"),
        "to be switched on before the first is defined".to_owned(),
    ]);
    month.row([
        dollars(inputs::UNUSED_METRICS * prices::METRIC_MONTH),
        "not writing the metric ErrorRate, which no alarm and no widget names (a change of the sweep)".to_owned(),
        "none in this template".to_owned(),
    ]);
    let text = format!(
        "A function URL in place of the HTTP API would save {} a million requests and the authorizer's invocations; the template keeps that for collection \
         from browsers. Memory is not worth turning: of a million single events, the time of `record-events` is {} of the price.",
        dollars(prices::API_REQUESTS_MILLION),
        dollars(
            f64::from(deployment.function("RecordEvents")?.megabytes) / 1024.0
                * inputs::RECORD_MS
                * 1000.0
                * deployment.architecture.gb_second()
        ),
    );
    Ok(vec![Block::Heading("What to change first to pay less".to_owned()), Block::Table(events), Block::Table(month), Block::Text(text)])
}

fn assumptions(deployment: &Deployment) -> Blocks {
    let (count, window) = deployment.stream("CountEvents")?;
    let (dispatch, _) = deployment.stream("DispatchEvents")?;
    let text = format!(
        "- Measured: write and read units (`make bench`). `count_N` is of a mix of a week and several organizations, so counting is rather too dear here; between the \
           measured numbers of records it is interpolated, and a commit of 20 is taken for one record.\n\
         - Template: memory of the functions, streams ({count} records or {window} s for counting, {dispatch} for dispatching), batches of queues, alarms, \
           the length of the access log's line.\n\
         - Assumed, never measured on AWS: `authorize` {:.0} ms, `record-events` {:.0} ms, `count-events` {:.0} ms, `dispatch-events` {:.0} to {:.0} ms, \
           `process-events` {:.0} ms, `deliver-webhooks` {:.0} ms (a receiver that answers within 100), `sweep` {:.0} ms; one start of {:.0} ms in {:.0} invocations.\n\
         - Not verified: {:.0} shards of the table's stream; pollers; that half of the messages sent together are received together; {:.0} bytes on the wire for a delivery, \
           {:.0} and {:.0} an event for an answer, all of them to the internet at {} a GB.\n\
         - Left out: retries, failures and dead letters, reading (a `get` is 2 read units), other requests, storage of logs and of the archive ({} at most a million events), \
           and whoever reads the queue of domain events.",
        inputs::AUTHORIZE_MS,
        inputs::RECORD_MS,
        inputs::COUNT_MS,
        inputs::DISPATCH_MS,
        inputs::DISPATCH_MS + inputs::DISPATCH_SEND_MS,
        inputs::PROCESS_MS,
        inputs::DELIVER_MS,
        inputs::SWEEP_MS,
        inputs::START_MS,
        inputs::INVOCATIONS_A_START,
        inputs::STREAM_SHARDS,
        inputs::DELIVERY_BYTES,
        inputs::ANSWER_BYTES,
        inputs::ANSWER_EVENT_BYTES,
        dollars(prices::TRANSFER_GB),
        dollars(inputs::BUS_EVENT_BYTES / 1000.0 * prices::ARCHIVE_STORAGE_GB_MONTH),
    );
    Ok(vec![Block::Heading("What this rests on".to_owned()), Block::Text(text)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_up_to_its_upper_end() {
        assert_eq!(verdict(4.3, SINGLE_GOAL), "met");
        assert_eq!(verdict(3.0, SINGLE_GOAL), "met, below it");
        assert_eq!(verdict(4.4, SINGLE_GOAL), "**missed** by 0.10");
    }

    #[test]
    fn every_section_has_something_to_say() {
        let deployment = Deployment::read(include_str!("../../../../template.yaml")).unwrap();
        let blocks = report(&deployment).unwrap();
        assert!(blocks.iter().filter(|block| matches!(block, Block::Heading(_))).count() >= 6);
        assert!(blocks.iter().filter(|block| matches!(block, Block::Table(_))).count() >= 6);
    }
}
