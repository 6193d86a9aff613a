//! What events cost, from the request to the last thing that follows from them.

use crate::bill::{Bill, Service};
use crate::deployment::{Deployment, DeploymentError};
use crate::inputs::{self, COUNTED, Counted};
use tools::prices;

const MILLION: f64 = 1_000_000.0;
const GB: f64 = 1_000_000_000.0;

/// Events that come in, and what follows from each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Traffic {
    /// Events in a second, evenly.
    pub(crate) events_a_second: f64,
    /// Events of one stream in a request.
    pub(crate) events_a_request: f64,
    /// Write units of an event.
    pub(crate) write_units: f64,
    /// What takes the request.
    pub(crate) door: Door,
    /// Whether one processor is given each event.
    pub(crate) processor: bool,
    /// Whether one subscriber gets each event at its URL.
    pub(crate) subscriber: bool,
    /// Whether there is a bus.
    pub(crate) bus: bool,
}

/// What takes a request, and so what it costs besides what it does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Door {
    /// The API, its authorizer, and `record-events`.
    Api,
    /// The API and a collector, which asks no authorizer.
    CollectorByApi,
    /// A collector by its function URL.
    CollectorByUrl,
}

impl Traffic {
    /// Single events that nothing follows from.
    pub(crate) const SINGLE: Self = Self {
        events_a_second: 1.0,
        events_a_request: 1.0,
        write_units: inputs::CREATE_WRITE_UNITS,
        door: Door::Api,
        processor: false,
        subscriber: false,
        bus: false,
    };
    /// Batches of twenty that nothing follows from.
    pub(crate) const BATCH: Self = Self { events_a_request: 20.0, write_units: inputs::BATCH_WRITE_UNITS, ..Self::SINGLE };

    /// The same at another rate.
    pub(crate) const fn at(self, events_a_second: f64) -> Self {
        Self { events_a_second, ..self }
    }

    /// How many records come together of those that a shard gets in so many seconds.
    fn together(self, seconds: f64, records_a_request: f64, batch: f64) -> f64 {
        let a_shard = self.events_a_second / self.events_a_request * records_a_request / inputs::STREAM_SHARDS;
        (1.0 + a_shard * seconds).min(batch)
    }
}

/// What a million events cost.
pub(crate) fn per_million(deployment: &Deployment, traffic: Traffic) -> Result<Bill, DeploymentError> {
    let mut bill = Bill::default();
    request(&mut bill, deployment, traffic)?;
    counting(&mut bill, deployment, traffic)?;
    let dispatched = dispatching(&mut bill, deployment, traffic)?;
    if traffic.processor {
        processing(&mut bill, deployment, traffic, dispatched)?;
    }
    if traffic.subscriber {
        delivering(&mut bill, deployment, traffic, dispatched)?;
    }
    if traffic.bus {
        telling(&mut bill, traffic);
    }
    // All of it was for one request.
    Ok(bill.times(MILLION / traffic.events_a_request))
}

/// What one invocation of a function costs.
pub(crate) fn invocation(deployment: &Deployment, function: &str, milliseconds: f64) -> Result<f64, DeploymentError> {
    let gigabytes = f64::from(deployment.function(function)?.megabytes) / 1024.0;
    let seconds = (milliseconds + inputs::START_MS / inputs::INVOCATIONS_A_START) / 1000.0;
    Ok(prices::LAMBDA_CALLS_MILLION / MILLION + gigabytes * seconds * deployment.architecture.gb_second())
}

fn write(units: f64) -> f64 {
    units * prices::WRITE_UNITS_MILLION / MILLION
}

fn read(units: f64) -> f64 {
    units * prices::READ_UNITS_MILLION / MILLION
}

/// What counting one of so many records that come together takes: between two that were measured as a power of the number, beyond them as
/// between the nearest two.
pub(crate) fn counted(records: f64) -> Counted {
    let [one, hundred, most] = &COUNTED;
    let (low, high) = if records <= hundred.records { (one, hundred) } else { (hundred, most) };
    let place = (records / low.records).ln() / (high.records / low.records).ln();
    let between = |low: f64, high: f64| low * (high / low).powf(place);
    Counted { records, write_units: between(low.write_units, high.write_units), read_units: between(low.read_units, high.read_units) }
}

fn request(bill: &mut Bill, deployment: &Deployment, traffic: Traffic) -> Result<(), DeploymentError> {
    let events = traffic.events_a_request;
    if traffic.door != Door::CollectorByUrl {
        bill.add(Service::Api, prices::API_REQUESTS_MILLION / MILLION);
    }
    let an_event = match traffic.door {
        Door::Api => inputs::ANSWER_EVENT_BYTES,
        Door::CollectorByApi | Door::CollectorByUrl => inputs::ANSWER_ID_BYTES,
    };
    let answer = inputs::ANSWER_BYTES + an_event * events;
    bill.add(Service::Transfer, answer * prices::TRANSFER_GB / GB);
    let line = f64::from(deployment.access_line_bytes) + inputs::LOG_LINE_OVERHEAD_BYTES;
    if traffic.door != Door::CollectorByUrl {
        bill.add(Service::Logs, line * prices::LOGS_GB / GB);
    }
    let milliseconds = inputs::RECORD_MS + inputs::RECORD_EVENT_MS * events;
    bill.add(Service::DynamoDb, write(traffic.write_units * events));
    if traffic.door != Door::Api {
        bill.add(Service::Lambda, invocation(deployment, "CollectFrontend", milliseconds)?);
        return Ok(());
    }
    bill.add(Service::Lambda, invocation(deployment, "Authorize", inputs::AUTHORIZE_MS)?);
    bill.add(Service::Lambda, invocation(deployment, "RecordEvents", milliseconds)?);
    // One key: it is read at most once in the seconds for which it is remembered.
    let requests_a_second = traffic.events_a_second / events;
    bill.add(Service::DynamoDb, read((1.0 / (requests_a_second * inputs::KEY_REMEMBERED_SECONDS)).min(1.0)));
    Ok(())
}

/// Changes of the table that a request brings about: the commit, and its outcome.
fn records(traffic: Traffic) -> f64 {
    if traffic.processor { 2.0 } else { 1.0 }
}

fn counting(bill: &mut Bill, deployment: &Deployment, traffic: Traffic) -> Result<(), DeploymentError> {
    let (batch, window) = deployment.stream("CountEvents")?;
    let records = records(traffic);
    let together = traffic.together(window.max(inputs::STREAM_POLL_SECONDS), records, batch);
    let units = counted(together);
    bill.add(Service::DynamoDb, write(units.write_units * records) + read(units.read_units * records));
    let milliseconds = inputs::COUNT_MS + inputs::COUNT_EVENT_MS * together * traffic.events_a_request;
    bill.add(Service::Lambda, invocation(deployment, "CountEvents", milliseconds)? * records / together);
    Ok(())
}

/// Answers how many requests are dispatched together.
fn dispatching(bill: &mut Bill, deployment: &Deployment, traffic: Traffic) -> Result<f64, DeploymentError> {
    let (batch, window) = deployment.stream("DispatchEvents")?;
    let records = records(traffic);
    let together = traffic.together(window.max(inputs::STREAM_POLL_SECONDS), records, batch);
    let sends = traffic.processor || traffic.subscriber || traffic.bus;
    let milliseconds = inputs::DISPATCH_MS + if sends { inputs::DISPATCH_SEND_MS } else { 0.0 };
    bill.add(Service::Lambda, invocation(deployment, "DispatchEvents", milliseconds)? * records / together);
    bill.add(Service::DynamoDb, read(inputs::DISPATCH_READ_UNITS) * records / together);
    Ok((together / records).max(1.0))
}

/// What sending, receiving and deleting a message costs, and how many of them a function gets at once, if so many are sent together.
fn message(deployment: &Deployment, function: &str, sent_together: f64) -> Result<(f64, f64), DeploymentError> {
    let (batch, fifo) = deployment.queue(function)?;
    let price = if fifo { prices::SQS_FIFO_CALLS_MILLION } else { prices::SQS_CALLS_MILLION } / MILLION;
    let received = (sent_together * inputs::RECEIVED_TOGETHER).clamp(1.0, batch);
    let sent = sent_together.clamp(1.0, inputs::SQS_MESSAGES_A_CALL);
    let called = received.min(inputs::SQS_MESSAGES_A_CALL);
    Ok((price * (1.0 / sent + 2.0 / called), received))
}

fn processing(bill: &mut Bill, deployment: &Deployment, traffic: Traffic, dispatched: f64) -> Result<(), DeploymentError> {
    let events = traffic.events_a_request;
    let (price, received) = message(deployment, "ProcessEvents", dispatched)?;
    bill.add(Service::Sqs, price);
    // Its messages are of different streams, so they are dealt with side by side.
    let milliseconds = inputs::PROCESS_MS + inputs::PROCESS_EVENT_MS * (events - 1.0);
    bill.add(Service::Lambda, invocation(deployment, "ProcessEvents", milliseconds)? / received);
    let outcome = if events > 1.0 { inputs::PROCESS_BATCH_WRITE_UNITS } else { inputs::PROCESS_WRITE_UNITS };
    bill.add(Service::DynamoDb, write(outcome) + read(inputs::PROCESS_READ_UNITS));
    Ok(())
}

fn delivering(bill: &mut Bill, deployment: &Deployment, traffic: Traffic, dispatched: f64) -> Result<(), DeploymentError> {
    let events = traffic.events_a_request;
    let messages = (dispatched * events / inputs::DELIVERIES_A_MESSAGE).ceil();
    let (price, received) = message(deployment, "DeliverWebhooks", messages)?;
    let messages_a_request = messages / dispatched;
    bill.add(Service::Sqs, price * messages_a_request);
    let deliveries = dispatched * events / messages * received;
    let milliseconds = inputs::DELIVER_MS + inputs::DELIVER_MORE_MS * (deliveries - 1.0);
    bill.add(Service::Lambda, invocation(deployment, "DeliverWebhooks", milliseconds)? * messages_a_request / received);
    bill.add(Service::DynamoDb, read(inputs::DELIVER_READ_UNITS) * events);
    bill.add(Service::Transfer, inputs::DELIVERY_BYTES * events * prices::TRANSFER_GB / GB);
    Ok(())
}

/// The bus, its archive, and the queue that its rule fills; nobody empties that here.
fn telling(bill: &mut Bill, traffic: Traffic) {
    let told = traffic.events_a_request * if traffic.processor { 2.0 } else { 1.0 };
    bill.add(Service::EventBridge, told * prices::BUS_EVENTS_MILLION / MILLION);
    bill.add(Service::EventBridge, told * inputs::BUS_EVENT_BYTES * prices::ARCHIVE_GB / GB);
    bill.add(Service::Sqs, told * prices::SQS_CALLS_MILLION / MILLION);
    if traffic.processor {
        // What has been processed is read again to tell of it.
        bill.add(Service::DynamoDb, read(1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Deployment {
        Deployment::read(include_str!("../../../../template.yaml")).unwrap()
    }

    fn total(traffic: Traffic) -> f64 {
        per_million(&deployment(), traffic).unwrap().total()
    }

    #[test]
    fn counting_costs_what_was_measured_where_it_was_measured() {
        for measured in &COUNTED {
            let counted = counted(measured.records);
            assert!((counted.write_units - measured.write_units).abs() < 1e-9);
            assert!((counted.read_units - measured.read_units).abs() < 1e-9);
        }
    }

    #[test]
    fn an_event_alone_costs_more_than_one_of_many() {
        assert!(total(Traffic::SINGLE.at(0.01)) > total(Traffic::SINGLE.at(1000.0)));
    }

    #[test]
    fn a_batch_costs_less_than_its_events_one_by_one() {
        assert!(total(Traffic::BATCH.at(1000.0)) < total(Traffic::SINGLE.at(1000.0)) / 2.0);
    }

    #[test]
    fn everything_that_follows_from_an_event_costs_something() {
        let plain = Traffic::SINGLE.at(100.0);
        for more in [Traffic { processor: true, ..plain }, Traffic { subscriber: true, ..plain }, Traffic { bus: true, ..plain }] {
            assert!(total(more) > total(plain), "{more:?}");
        }
    }

    #[test]
    fn a_single_event_pays_for_its_request_and_its_units_at_least() {
        let bill = per_million(&deployment(), Traffic::SINGLE.at(1000.0)).unwrap();
        assert!((bill.of(Service::Api) - 1.0).abs() < 1e-9);
        assert!(bill.of(Service::DynamoDb) >= 1.25);
        assert!(bill.of(Service::EventBridge).abs() < 1e-9);
    }
}
