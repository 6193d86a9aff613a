//! What must hold of a service that has come to rest, whatever it went through.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::executor::block_on;
use serde_json::Value;
use shared::domain::bridge::BridgeStream;
use shared::domain::counters::{CounterKey, CounterScope, Period};
use shared::domain::dead_letter::DeadLetter;
use shared::domain::definitions::Definitions;
use shared::domain::delivery::{DeliveryId, DeliveryState};
use shared::domain::domain_event::DomainEvent;
use shared::domain::event::Event;
use shared::domain::event_id::EventId;
use shared::domain::outcome::ResultStatus;
use shared::domain::query::{EventFilter, EventQuery, ObservedEvent, PageSize, PageStart};
use shared::domain::queue::WorkQueue;
use shared::domain::signature::{WebhookSecret, signature_headers};
use shared::domain::statistics::Statistics;
use shared::domain::status::EventStatus;
use shared::domain::stream_id::StreamKey;
use shared::domain::subscription::{Ordering, Subscription};
use shared::domain::timestamp::Timestamp;
use shared::domain::version::Version;
use shared::domain::work::{DeliverWork, EventRef, StreamRef};
use shared::ports::counter_store::CounterStore as _;
use shared::ports::delivery_log::DeliveryLog as _;
use shared::ports::event_bus::BusEntry;
use shared::ports::event_reader::EventReader as _;
use shared::ports::rejected_events::RejectedEvents as _;

use super::outside::is_dead;
use super::plan::{DERIVED, NONSENSE, SECRET, owner};
use super::service::{Service, marks};
use super::surroundings::{History, Moment, Request};

/// What is wrong.
type Checked = Result<(), String>;

/// Whether dead letters were sent again, in whatever order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redriven {
    Yes,
    No,
}

/// All that is to be known of a service that has come to rest.
struct Evidence<'a> {
    history: &'a History,
    events: Vec<ObservedEvent>,
    /// When each event was stored.
    stored: HashMap<EventId, Moment>,
    definitions: &'a Definitions,
    redriven: Redriven,
    end: Moment,
}

/// Checks everything.
pub(super) fn check(service: &Service, redriven: Redriven) -> Checked {
    let events = all_events(service);
    projections(service, &events)?;
    let definitions = service.definitions();
    let history = service.surroundings.history();
    let stored = history.commits.iter().flat_map(|(moment, commit)| commit.to_events().into_iter().map(|event| (event.place, *moment)));
    let evidence = Evidence {
        stored: stored.collect(),
        events,
        definitions: &definitions,
        redriven,
        end: service.surroundings.now(),
        history: &history,
    };
    evidence.acknowledged(&service.acknowledged.lock().unwrap())?;
    evidence.versions()?;
    evidence.ids()?;
    evidence.marks(service)?;
    evidence.nonsense(service)?;
    evidence.requests()?;
    evidence.deliveries(service)?;
    evidence.order_of_deliveries()?;
    evidence.processing()?;
    evidence.order_of_processing()?;
    evidence.results_are_kept()?;
    evidence.derived_events()?;
    evidence.bus(service)?;
    evidence.broker(service)?;
    evidence.statistics(service)
}

fn all_events(service: &Service) -> Vec<ObservedEvent> {
    let query = |start| EventQuery { filter: EventFilter::default(), size: PageSize::new(PageSize::MAX).unwrap(), start };
    let mut events = Vec::new();
    let mut start = PageStart::Offset(0);
    loop {
        let page = block_on(service.surroundings.events.query(&query(start), service.time())).unwrap();
        events.extend(page.events);
        match page.next {
            Some(next) => start = PageStart::Below(next),
            None => return events,
        }
    }
}

/// The events of a stream in the order of their versions, for each stream.
fn by_stream(events: &[ObservedEvent]) -> BTreeMap<&StreamKey, Vec<&Event>> {
    let mut streams: BTreeMap<&StreamKey, Vec<&Event>> = BTreeMap::new();
    for ObservedEvent { event, .. } in events {
        streams.entry(&event.stream).or_default().push(event);
    }
    for events in streams.values_mut() {
        events.sort_by_key(|event| event.stream_version);
    }
    streams
}

/// Every entity's projection is of all of its events and no others, with snapshots as without.
fn projections(service: &Service, events: &[ObservedEvent]) -> Checked {
    for (stream, events) in by_stream(events) {
        let stream_id = stream.stream.to_string();
        let Some(entity) = stream_id.strip_prefix("order:") else { continue };
        let organization = stream.organization.as_ref().map_or_else(String::new, |name| format!("?organization_id={name}"));
        let path = format!("/api/v1/events/projections/order/{entity}{organization}");
        let (shown, anew) = (service.ask("GET", &path, &Value::Null), service.ask_anew(&path));
        if shown["version"] != events.len() || shown["state"] != anew["state"] {
            return Err(format!("the projection of {stream} with {} events is {shown}, and {anew} without snapshots", events.len()));
        }
    }
    Ok(())
}

/// An event, for whoever reads of a failure.
fn name(event: &Event) -> String {
    let organization = event.organization().map_or("", |organization| organization.as_str());
    format!("{} {organization}/{}@{}", event.details.event_type, event.stream.stream, event.stream_version.get())
}

fn reference(event: &Event) -> EventRef {
    shared::commands::dispatch_events::event_ref(event)
}

/// Whether a dead letter has the event sent again.
fn covers(letter: &DeadLetter, subscription: &Subscription, event: &Event) -> bool {
    if letter.queue != WorkQueue::Deliver || letter.subscription.as_ref() != Some(&subscription.id) {
        return false;
    }
    match serde_json::from_str::<DeliverWork>(&letter.body).unwrap() {
        DeliverWork::Events { deliveries, .. } => deliveries.iter().any(|work| work.event == reference(event)),
        DeliverWork::Stream { stream, through, .. } => stream == StreamRef::from(&event.stream) && event.stream_version <= through,
    }
}

impl<'a> Evidence<'a> {
    /// The definitions that anybody may have seen who looked between these moments.
    fn in_force(&self, from: Moment, to: Moment) -> &'a [(Moment, std::sync::Arc<Definitions>)] {
        let definitions = &self.history.definitions;
        let first = definitions.partition_point(|(moment, _)| *moment <= from).saturating_sub(1);
        let end = definitions.partition_point(|(moment, _)| *moment <= to).max(first);
        &definitions[first..end]
    }

    /// Whether the subscription was to get the event all the time from when it was stored until then.
    fn is_owed(&self, subscription: &Subscription, event: &Event, until: Moment) -> bool {
        let receives =
            |definitions: &Definitions| definitions.subscription(&subscription.id).is_some_and(|subscription| subscription.receives(event));
        self.in_force(self.stored[&event.place], until).iter().all(|(_, definitions)| receives(definitions))
    }

    fn of_subscription(&self, subscription: &Subscription) -> impl Iterator<Item = &'a Request> {
        let id = subscription.id.as_str().to_owned();
        self.history.requests.iter().filter(move |request| owner(&request.url) == id)
    }

    /// When the receiver of a subscription first took each event.
    fn first_takes(&self, subscription: &Subscription) -> HashMap<String, Moment> {
        let mut takes = HashMap::new();
        for request in self.of_subscription(subscription).filter(|request| request.taken) {
            takes.entry(request.header("webhook-id").to_owned()).or_insert(request.moment);
        }
        takes
    }

    /// When an event was first parked.
    fn parked(&self, subscription: &Subscription, event: &Event) -> Option<Moment> {
        self.history.parked.iter().find(|(_, letter)| covers(letter, subscription, event)).map(|(moment, _)| *moment)
    }

    fn acknowledged(&self, ids: &[String]) -> Checked {
        let stored: BTreeSet<String> = self.events.iter().map(|observed| observed.event.id.to_string()).collect();
        match ids.iter().find(|id| !stored.contains(*id)) {
            Some(id) => Err(format!("event {id} was acknowledged and is not there")),
            None => Ok(()),
        }
    }

    /// The versions of a stream follow one upon the other.
    fn versions(&self) -> Checked {
        for (stream, events) in self.by_stream() {
            let mut next = Version::EMPTY.next();
            for event in events {
                if event.stream_version != next {
                    return Err(format!("{stream} has a gap or an overlap before version {next}"));
                }
                next = next.next();
            }
        }
        Ok(())
    }

    /// No two events of an organization have one id (BR-EVT-001).
    fn ids(&self) -> Checked {
        let mut seen = BTreeSet::new();
        match self.events.iter().find(|observed| !seen.insert((observed.event.organization(), observed.event.id))) {
            Some(twice) => Err(format!("{} has the id of another event", name(&twice.event))),
            None => Ok(()),
        }
    }

    /// What was collected, or came from others, and says who it is, is stored once, however often it was sent; and it is stored if that
    /// was acknowledged, or is the broker's to give again.
    fn marks(&self, service: &Service) -> Checked {
        let mut stored: BTreeMap<String, usize> = BTreeMap::new();
        for ObservedEvent { event, .. } in &self.events {
            let derived = event.details.event_type.as_str() == DERIVED;
            if let Some(mark) = event.details.data.to_value()["mark"].as_str().filter(|_| !derived) {
                *stored.entry(mark.to_owned()).or_default() += 1;
            }
        }
        if let Some((mark, times)) = stored.iter().find(|(_, times)| **times > 1) {
            return Err(format!("{mark} is stored {times} times"));
        }
        let taken = service.taken.lock().unwrap().clone();
        let of_others = self.history.sent.iter().filter_map(|(_, body)| Some(marks(&serde_json::from_str(body).ok()?))).flatten();
        match taken.into_iter().chain(of_others).find(|mark| !stored.contains_key(mark)) {
            Some(mark) => Err(format!("{mark} was taken and is not stored")),
            None => Ok(()),
        }
    }

    /// What nobody can read is kept as a rejected event.
    fn nonsense(&self, service: &Service) -> Checked {
        let sent = self.history.sent.iter().filter(|(_, body)| body == NONSENSE).count();
        let (kept, _) = block_on(service.surroundings.rejected.rejected_events(None, None, 10_000)).unwrap();
        if kept.len() == sent { Ok(()) } else { Err(format!("{sent} messages cannot be read, and {} are kept", kept.len())) }
    }

    /// The broker has every event and that it was stored, once, and the events of a stream in their order.
    fn broker(&self, service: &Service) -> Checked {
        let published = service.surroundings.broker.published();
        let places: HashMap<(BridgeStream, &str), usize> =
            published.iter().enumerate().map(|(place, message)| ((message.stream, message.id.as_str()), place)).collect();
        for events in self.by_stream().into_values() {
            let mut before: Option<(usize, &Event)> = None;
            for event in events {
                let stored = BusEntry::from(&DomainEvent::stored(event)).detail;
                let told = published.iter().any(|message| message.stream == BridgeStream::DomainEvents && message.body == stored);
                // What a client of an organization chose is told apart from what another's may choose.
                let id = match event.organization().filter(|_| event.id != event.place) {
                    Some(organization) => format!("{organization}/{}", event.id),
                    None => event.id.to_string(),
                };
                let place = places.get(&(BridgeStream::Events, id.as_str())).copied();
                let (true, Some(place)) = (told, place) else { return Err(format!("{} was not published", name(event))) };
                if let Some((_, earlier)) = before.filter(|(earlier, _)| *earlier > place) {
                    return Err(format!("{} was published before {}", name(event), name(earlier)));
                }
                before = Some((place, event));
            }
        }
        Ok(())
    }

    /// Every request is signed, always of the same event under the same id, and goes to one who may and wants to have it.
    fn requests(&self) -> Checked {
        let mut by_delivery: HashMap<String, (String, &Event)> = HashMap::new();
        let seen: BTreeSet<&str> = self.history.requests.iter().map(|request| owner(&request.url)).collect();
        let ids_of_processors: HashMap<String, &str> =
            self.definitions.processors().map(|processor| (processor.name.as_str().to_owned(), processor.id.as_str())).collect();
        for who in seen {
            let receiver = ids_of_processors.get(who).copied().unwrap_or(who);
            for observed in &self.events {
                let id = DeliveryId::of(receiver, observed.event.place).to_string();
                by_delivery.insert(id, (who.to_owned(), &observed.event));
            }
        }
        for request in &self.history.requests {
            let id = request.header("webhook-id");
            let Some((who, event)) = by_delivery.get(id) else { return Err(format!("{id} is the id of no delivery: {request:?}")) };
            let body: Value = serde_json::from_str(&request.body).unwrap();
            let same = body["data"]["event_id"] == event.id.to_string()
                && body["data"]["stream_id"] == event.stream.stream.to_string()
                && body["data"]["stream_version"] == event.stream_version.get();
            if who != owner(&request.url) || !same {
                return Err(format!("{id} does not carry {} to {who}: {request:?}", name(event)));
            }
            if !is_signed(request) {
                return Err(format!("the signature does not fit: {request:?}"));
            }
            if ids_of_processors.contains_key(who) {
                continue;
            }
            let wanted = self.in_force(request.began, request.moment).iter().any(|(_, definitions)| {
                let subscription = definitions.subscriptions().find(|subscription| subscription.id.as_str() == who);
                subscription.is_some_and(|subscription| {
                    let address = subscription.callback_url.as_ref().map(|url| url.as_str() == request.url);
                    subscription.is_active() && subscription.selects(event) && address == Some(true)
                })
            });
            if !wanted {
                return Err(format!("{} was sent to {}, which did not want it", name(event), request.url));
            }
        }
        Ok(())
    }

    /// Every event that a subscription was to get was taken, or lies with the dead letters.
    fn deliveries(&self, service: &Service) -> Checked {
        let letters = block_on(async {
            use shared::ports::dead_letters::DeadLetters as _;
            service.surroundings.letters.letters(&shared::domain::dead_letter::DeadLetterFilter::default(), None, 100_000).await.unwrap().0
        });
        for subscription in self.definitions.subscriptions() {
            let takes = self.first_takes(subscription);
            let dead = subscription.callback_url.as_ref().is_some_and(|url| is_dead(url.as_str()));
            for ObservedEvent { event, .. } in &self.events {
                let id = DeliveryId::of(subscription.id.as_str(), event.place);
                if takes.contains_key(id.as_str()) || !self.is_owed(subscription, event, self.end) {
                    continue;
                }
                let what = format!("{} for {}", name(event), subscription.id);
                let Some(letter) = letters.iter().find(|letter| covers(letter, subscription, event)) else {
                    let (delivery, _) = block_on(service.surroundings.deliveries.delivery(&subscription.id, &id)).unwrap();
                    return Err(format!("{what} was neither taken nor parked; its delivery: {delivery:?}"));
                };
                if self.redriven == Redriven::Yes && !dead {
                    return Err(format!("{what} is still parked: {letter:?}"));
                }
                let (delivery, _) = block_on(service.surroundings.deliveries.delivery(&subscription.id, &id)).unwrap();
                if letter.event_id.is_some() && delivery.as_ref().is_none_or(|delivery| delivery.state != DeliveryState::Failed) {
                    return Err(format!("{what} is parked, and its delivery is {delivery:?}"));
                }
            }
        }
        Ok(())
    }

    fn by_stream(&self) -> BTreeMap<&StreamKey, Vec<&Event>> {
        by_stream(&self.events)
    }

    /// No event of a stream is taken before an earlier one was taken or parked.
    fn order_of_deliveries(&self) -> Checked {
        if self.redriven == Redriven::Yes {
            return Ok(());
        }
        for subscription in self.definitions.subscriptions().filter(|subscription| subscription.ordering == Ordering::Stream) {
            let takes = self.first_takes(subscription);
            let took = |event: &Event| takes.get(DeliveryId::of(subscription.id.as_str(), event.place).as_str()).copied();
            for events in self.by_stream().into_values() {
                for (index, later) in events.iter().enumerate() {
                    let Some(moment) = took(later) else { continue };
                    for earlier in events[..index].iter().filter(|earlier| self.is_owed(subscription, earlier, moment)) {
                        let before = |other: Option<Moment>| other.is_some_and(|other| other < moment);
                        if !before(took(earlier)) && !before(self.parked(subscription, earlier)) {
                            return Err(format!("{} took {} before {}", subscription.id, name(later), name(earlier)));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Every processor that an event was given to has come to an end with it, after attempts without a gap.
    fn processing(&self) -> Checked {
        for ObservedEvent { event, outcome } in &self.events {
            let given: Vec<_> = self.definitions.processors_given(event.organization(), &event.details, event.recorded_at).collect();
            if !matches!(outcome.status, EventStatus::Processed | EventStatus::Failed) {
                return Err(format!("{} is {:?}: {:?}", name(event), outcome.status, outcome.results));
            }
            for processor in &given {
                let results: Vec<_> = outcome.results.iter().filter(|result| result.processor == processor.name.as_str()).collect();
                let ended = results.last().is_some_and(|last| last.status != ResultStatus::Retry);
                let mut next = 1;
                let mut whole = true;
                for result in &results {
                    whole &= result.attempt == next;
                    next = if result.status == ResultStatus::Failed && self.redriven == Redriven::Yes { 1 } else { next + 1 };
                }
                if !ended || !whole {
                    return Err(format!("{} has no whole results of {}: {results:?}", name(event), processor.name));
                }
            }
            if let Some(result) =
                outcome.results.iter().find(|result| given.iter().all(|processor| processor.name.as_str() != result.processor))
            {
                return Err(format!("{} was not given to {}", name(event), result.processor));
            }
        }
        Ok(())
    }

    /// Processors first see the events of a stream in their order. An event that nobody is given parts a stream: whoever processes
    /// what comes after it does not look for lost messages of what came before it.
    fn order_of_processing(&self) -> Checked {
        for processor in self.definitions.processors() {
            let mut first: HashMap<&str, Moment> = HashMap::new();
            for request in self.history.requests.iter().filter(|request| owner(&request.url) == processor.name.as_str()) {
                first.entry(request.header("webhook-id")).or_insert(request.moment);
            }
            for events in self.by_stream().into_values() {
                let mut latest: Option<(Moment, &Event)> = None;
                for event in events {
                    if !self.definitions.needs_processing(event) {
                        latest = None;
                    }
                    let Some(seen) = first.get(DeliveryId::of(processor.id.as_str(), event.place).as_str()) else { continue };
                    if let Some((_, before)) = latest.filter(|(moment, _)| moment > seen) {
                        return Err(format!("{} saw {} before {}", processor.name, name(event), name(before)));
                    }
                    latest = Some((*seen, event));
                }
            }
        }
        Ok(())
    }

    /// A result that was saved once is there in the end.
    fn results_are_kept(&self) -> Checked {
        for outcome in &self.history.outcomes {
            for (index, of_event) in outcome.events.iter().enumerate() {
                let standing = self
                    .events
                    .iter()
                    .find(|observed| observed.event.commit == outcome.commit && reference(&observed.event).index == index);
                let Some(standing) = standing else { return Err(format!("there is an outcome of no event: {outcome:?}")) };
                for result in &of_event.results {
                    if !standing.outcome.results.iter().any(|other| other.is_same_attempt(result)) {
                        return Err(format!("{} has lost {result:?}: {:?}", name(&standing.event), standing.outcome.results));
                    }
                }
            }
        }
        Ok(())
    }

    /// A transform that was successful has derived one event.
    fn derived_events(&self) -> Checked {
        let mut derived: BTreeMap<String, usize> = BTreeMap::new();
        for ObservedEvent { event, .. } in self.events.iter().filter(|observed| observed.event.details.event_type.as_str() == DERIVED) {
            let cause = event.details.metadata.to_value()["causation_id"].as_str().unwrap_or_default().to_owned();
            let organization = event.organization().map_or("", |organization| organization.as_str());
            *derived.entry(format!("{organization}/{cause}")).or_default() += 1;
        }
        for ObservedEvent { event, outcome } in &self.events {
            let organization = event.organization().map_or("", |organization| organization.as_str());
            let count = derived.get(&format!("{organization}/{}", event.id)).copied().unwrap_or_default();
            let succeeded = outcome.last_of("t").is_some_and(|last| last.status == ResultStatus::Success);
            if count > 1 || (succeeded && count == 0) {
                return Err(format!("{count} events were derived of {}", name(event)));
            }
        }
        Ok(())
    }

    /// The bus was told of every event and of every result that is worth telling.
    fn bus(&self, service: &Service) -> Checked {
        let (entries, _) = service.surroundings.bus.entries_after(0);
        let told: BTreeSet<&str> = entries.iter().map(|entry| entry.detail.as_str()).collect();
        for ObservedEvent { event, .. } in &self.events {
            if !told.contains(BusEntry::from(&DomainEvent::stored(event)).detail.as_str()) {
                return Err(format!("the bus was not told of {}", name(event)));
            }
        }
        Ok(())
    }

    /// The counters come to what counting the events one by one comes to.
    fn statistics(&self, service: &Service) -> Checked {
        let organizations: BTreeSet<_> = self.events.iter().map(|observed| observed.event.organization().cloned()).collect();
        let scopes = organizations.into_iter().flatten().map(Some).chain([None]);
        for organization in scopes {
            let scope = CounterScope::of(organization.as_ref());
            let wanted = |observed: &&ObservedEvent| organization.is_none() || observed.event.organization() == organization.as_ref();
            let events: Vec<ObservedEvent> = self.events.iter().filter(wanted).cloned().collect();
            let recount = Statistics::from_events(&events, Timestamp::MIN);
            let (total, _) =
                block_on(service.surroundings.counters.tally(&CounterKey { scope: scope.clone(), period: Period::Total })).unwrap();
            let (users, _) = block_on(service.surroundings.counters.ranking(&scope)).unwrap();
            let counted = Statistics::from_counters(&total, &[], &users, Timestamp::MIN);
            let statuses = |statistics: &Statistics| {
                EventStatus::ALL.iter().map(|status| (*status, statistics.with_status(*status))).collect::<Vec<_>>()
            };
            let kinds = |statistics: &Statistics| (statistics.by_type.clone(), statistics.by_source.clone(), statistics.processing);
            if statuses(&recount) != statuses(&counted) || kinds(&recount) != kinds(&counted) {
                return Err(format!("the statistics of {organization:?} are {counted:?} and should be {recount:?}"));
            }
        }
        Ok(())
    }
}

fn is_signed(request: &Request) -> bool {
    let secret = WebhookSecret::from_text(SECRET.to_owned()).unwrap();
    let seconds: i64 = request.header("webhook-timestamp").parse().unwrap();
    let at = Timestamp::from_micros(seconds * 1_000_000).unwrap();
    let expected = signature_headers(&[&secret], request.header("webhook-id"), at, &request.body);
    let expected = expected.iter().find(|(name, _)| name == "webhook-signature").map(|(_, value)| value.as_str());
    request.header("webhook-signature").split(' ').any(|signature| Some(signature) == expected)
}
