//! Does an operation again and again, and measures it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use hyper::StatusCode;
use shared::adapters::dynamodb::Usage;
use tools::events::Mix;
use tools::http_client::Answer;

use crate::BenchError;
use crate::operation::{Call, Operation, Per};
use crate::report::{Measure, Part};
use crate::store::{Service, Store, events_in};

/// How many requests the exact numbers are of.
const EXACT: u64 = 8;
/// The most requests that are timed by calling the handler.
const MOST_CALLED: u64 = 1000;

/// How long each measurement takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Of calling the handler.
    pub(crate) direct: Duration,
    /// Through HTTP.
    pub(crate) http: Duration,
    /// Before measuring through HTTP.
    pub(crate) warm_up: Duration,
    /// For as long as events come at a steady rate.
    pub(crate) steady: Duration,
}

/// How long requests took, each and all together.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    /// Each.
    pub(crate) times: Vec<Duration>,
    /// All together.
    pub(crate) took: Duration,
}

impl Samples {
    /// Times something, and adds it.
    pub(crate) async fn time<T, E>(&mut self, doing: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let began = Instant::now();
        let done = doing.await?;
        let took = began.elapsed();
        self.times.push(took);
        self.took += took;
        Ok(done)
    }

    /// Whether more requests to the handler are to be timed.
    fn goes_on(&self, pace: &Pace) -> bool {
        self.took < pace.direct && (self.times.len() as u64) < MOST_CALLED - EXACT
    }

    /// The numbers of a part.
    pub(crate) fn measure(mut self, (part, name): (Part, String), size: u32, per: Per, usage: Cost) -> Measure {
        self.times.sort_unstable();
        let events = match per {
            Per::Event(events) => f64::from(events),
            Per::Call | Per::Delivery => 1.0,
        };
        Measure {
            part,
            name,
            events: size,
            per,
            write_units: usage.write_units / events,
            read_units: usage.read_units / events,
            calls: usage.calls / events,
            per_second: float(self.times.len()) * events / self.took.as_secs_f64().max(1e-9),
            p50_ms: tools::percentile_ms(&self.times, 50),
            beside: None,
            p99_ms: tools::percentile_ms(&self.times, 99),
        }
    }
}

/// What one request used, on average.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    write_units: f64,
    read_units: f64,
    calls: f64,
}

impl Cost {
    /// What each of so many requests used.
    pub(crate) fn of(usage: Usage, requests: usize) -> Self {
        let requests = float(requests.max(1));
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 calls")]
        let calls = usage.calls as f64 / requests;
        Self { write_units: usage.write_units / requests, read_units: usage.read_units / requests, calls }
    }

    /// How much more this is than another.
    pub(crate) fn beyond(self, other: Self) -> Self {
        Self {
            write_units: self.write_units - other.write_units,
            read_units: self.read_units - other.read_units,
            calls: self.calls - other.calls,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
const fn float(count: usize) -> f64 {
    count as f64
}

/// An operation under way: its requests are numbered through, so that none comes twice.
pub(crate) struct Load<'a> {
    store: &'a Store,
    operation: &'a Operation,
    next: AtomicU64,
    usage: Usage,
}

impl<'a> Load<'a> {
    /// The operation, after the requests that are not to be measured.
    pub(crate) async fn new(store: &'a Store, operation: &'a Operation) -> Result<Self, BenchError> {
        let mut load = Self { store, operation, next: AtomicU64::new(0), usage: Usage::default() };
        for _ in 0..operation.prime {
            load.call_once().await?;
        }
        store.forget_usage();
        for _ in 0..EXACT {
            let answer = load.call_once().await?;
            if operation.answers.is_some_and(|events| events_in(&answer) != Some(events)) {
                let detail = format!("{:?} events", events_in(&answer));
                return Err(BenchError::Wrong { operation: operation.name, detail });
            }
        }
        load.usage = store.meter.take();
        Ok(load)
    }

    fn next_call(&self) -> Result<Call, BenchError> {
        self.operation.call(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Calls the handler.
    async fn call_once(&self) -> Result<Vec<u8>, BenchError> {
        let request = self.next_call()?.request(self.store)?;
        let answer = self.store.app.answer(request).await;
        let status = answer.status();
        let body = answer.into_body().to_vec();
        self.check(&Answer { status, retry_after: None, body: body.clone().into() })?;
        Ok(body)
    }

    fn check(&self, answer: &Answer) -> Result<(), BenchError> {
        if answer.status == StatusCode::OK {
            return Ok(());
        }
        Err(BenchError::Refused { operation: self.operation.name, status: answer.status, detail: answer.detail() })
    }

    /// One request after the other to the handler.
    pub(crate) async fn called(&self, pace: &Pace) -> Result<Measure, BenchError> {
        let mut samples = Samples::default();
        while samples.goes_on(pace) {
            self.sample(&mut samples).await?;
        }
        Ok(self.measure(samples))
    }

    /// The same, in turns with another load: whatever else the machine does meanwhile slows both.
    pub(crate) async fn called_beside(&self, other: &Load<'_>, pace: &Pace) -> Result<(Measure, Measure), BenchError> {
        let (mut samples, mut others) = (Samples::default(), Samples::default());
        while samples.goes_on(pace) {
            self.sample(&mut samples).await?;
            other.sample(&mut others).await?;
        }
        Ok((self.measure(samples), other.measure(others)))
    }

    async fn sample(&self, samples: &mut Samples) -> Result<(), BenchError> {
        let request = self.next_call()?.request(self.store)?;
        let began = Instant::now();
        let answer = self.store.app.answer(request).await;
        let time = began.elapsed();
        let status = answer.status();
        if status != StatusCode::OK {
            self.check(&Answer { status, retry_after: None, body: answer.into_body().to_vec().into() })?;
        }
        samples.times.push(time);
        samples.took += time;
        Ok(())
    }

    fn measure(&self, samples: Samples) -> Measure {
        let cost = Cost::of(self.usage, usize::try_from(EXACT).unwrap_or(1));
        samples.measure((Part::Called, self.operation.name.to_owned()), self.store.size, self.operation.per, cost)
    }

    /// Requests through HTTP, so many at a time.
    pub(crate) async fn through_http(&self, service: &Service, connections: usize, pace: &Pace) -> Result<Measure, BenchError> {
        self.send(service, connections, pace.warm_up).await?;
        self.store.forget_usage();
        let samples = self.send(service, connections, pace.http).await?;
        let cost = Cost::of(self.store.meter.take(), samples.times.len());
        let name = format!("{}_http_{connections}", self.operation.name);
        Ok(samples.measure((Part::Http, name), self.store.size, self.operation.per, cost))
    }

    async fn send(&self, service: &Service, connections: usize, duration: Duration) -> Result<Samples, BenchError> {
        let began = Instant::now();
        let one_connection = async || {
            let mut times = Vec::new();
            while times.is_empty() || began.elapsed() < duration {
                let Call { method, path, body, idempotency_key } = self.next_call()?;
                let sent = Instant::now();
                let answer = service.client.send(method, &path, body, idempotency_key.as_deref()).await?;
                times.push(sent.elapsed());
                self.check(&answer)?;
            }
            Ok::<_, BenchError>(times)
        };
        let times = try_join_all((0..connections).map(|_| one_connection())).await?;
        Ok(Samples { times: times.concat(), took: began.elapsed() })
    }
}

/// Records events one by one, and then hands them to the counters in batches of `batch`.
pub(crate) async fn count(store: &Store, mix: &mut Mix, batch: usize, events: u32) -> Result<Measure, BenchError> {
    let mut after = store.end_of_stream().await?;
    for event in mix.by_ref().take(usize::try_from(events).unwrap_or_default()) {
        store.append(&[event]).await?;
    }
    store.forget_usage();
    let mut samples = Samples::default();
    let mut usage = Usage::default();
    loop {
        let began = Instant::now();
        if store.hand_over(&mut after, batch).await? == 0 {
            break;
        }
        let used = store.meter.take();
        // The counters' own changes come by as well, and nothing is done about them.
        if used.calls > 0 {
            samples.times.push(began.elapsed());
            samples.took += began.elapsed();
        }
        usage.calls += used.calls;
        usage.write_units += used.write_units;
        usage.read_units += used.read_units;
    }
    let per_second = f64::from(events) / samples.took.as_secs_f64().max(1e-9);
    let cost = Cost::of(usage, usize::try_from(events).unwrap_or(1));
    Ok(Measure { per_second, ..samples.measure((Part::Called, format!("count_{batch}")), store.size, Per::Event(1), cost) })
}
