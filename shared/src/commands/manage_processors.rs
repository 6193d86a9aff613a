//! Makes, lists, switches, tries and removes processors.
//!
//! Which events a processor is given depends on when they were recorded. So a change holds from a moment on that lies a little
//! ahead, and is answered once that moment has passed: whoever records an event from then on, and whoever acts on it, finds
//! the change saved.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::manage_subscriptions::vet_url;
use crate::domain::access::{Caller, ForeignOrganization};
use crate::domain::commit::{Attempt, plan_streams};
use crate::domain::counters::ProcessorTallies;
use crate::domain::definitions::Definitions;
use crate::domain::event::{Event, EventDraft};
use crate::domain::event_id::EventId;
use crate::domain::identifiers::{OrganizationId, ProcessorId, ProcessorName};
use crate::domain::json::JsonObject;
use crate::domain::processor::{Action, ConfigProblem, MASK, Processor, ProcessorDraft, masked};
use crate::domain::selector::Check;
use crate::domain::timestamp::Timestamp;
use crate::domain::version::Version;
use crate::domain::webhook_url::RefusedHost;
use crate::ports::clock::Clock;
use crate::ports::counter_store::CounterStore;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::event_reader::EventReader;
use crate::ports::random::Random;
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;
use crate::ports::timer::Timer;
use crate::ports::webhook_sender::WebhookSender;

/// What managing processors needs.
#[derive(Clone, Copy)]
pub struct ManageProcessorsPorts<'a> {
    /// Where they are kept.
    pub definitions: &'a dyn DefinitionStore,
    /// Knows how they have done.
    pub counters: &'a dyn CounterStore,
    /// Where events are read to try them on.
    pub events: &'a dyn EventReader,
    /// Knows which addresses may be called.
    pub webhooks: &'a dyn WebhookSender,
    /// Says when a change holds.
    pub clock: &'a dyn Clock,
    /// Waits until it does.
    pub timer: &'a dyn Timer,
    /// Makes their ids.
    pub random: &'a dyn Random,
}

/// The most processors there may be, those included that are remembered for the events that they were given.
pub const MAX_PROCESSORS: usize = 200;
/// How often a change is tried that others get in the way of.
const MOST_ROUNDS: usize = 10;
/// How far ahead a change holds at first. It has to be saved by then.
const MARGIN: Duration = Duration::from_millis(100);
/// How often a change is saved that was saved too late, with twice the margin each time.
const MOST_SAVES: u32 = 5;

/// Why a processor was not made, shown, switched, tried or removed.
#[derive(Debug, thiserror::Error)]
pub enum ManageProcessorsError {
    /// There is no such processor, or the caller may not know of it.
    #[error("processor not found")]
    NotFound,
    /// There is no such event to try it on, or the caller may not know of it.
    #[error("Event not found")]
    NoSuchEvent,
    /// The caller is bound to one organization and names another.
    #[error(transparent)]
    Foreign(#[from] ForeignOrganization),
    /// The caller is bound to an organization, and wants to publish to what belongs to none.
    #[error("processors that publish reach outside of organizations: they take a credential that is bound to none")]
    OutOfBounds,
    /// Parts of `config` cannot be understood.
    #[error("the configuration cannot be understood")]
    Config(Vec<ConfigProblem>),
    /// The address may not be called.
    #[error(transparent)]
    Refused(#[from] RefusedHost),
    /// The name is another's: results would not tell the two apart.
    #[error("another processor that is given the same events has this name")]
    NameTaken,
    /// There are too many.
    #[error("there are {MAX_PROCESSORS} processors, those included that were removed after they were given events: there may be no more")]
    TooMany,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

type Managing<T> = Result<T, ManageProcessorsError>;

/// A processor, and how all of them have done.
pub struct Observed {
    /// The processor.
    pub processor: Arc<Processor>,
    /// How processors have done.
    pub tallies: Arc<ProcessorTallies>,
}

/// Makes a processor. One of the same name and organization is redefined. Secrets in `config` that are sent as answers mask
/// them stay what they are.
///
/// A caller that is bound to an organization makes processors of that organization.
///
/// # Errors
/// [`ManageProcessorsError`]; nothing was changed then, unless the store failed.
pub async fn create_processor(
    ports: &ManageProcessorsPorts<'_>,
    caller: &Caller,
    organization: Option<OrganizationId>,
    draft: ProcessorDraft,
) -> Managing<Observed> {
    let organization = caller.organization_for(organization)?;
    let fresh = ProcessorId::from_random(ports.random.secret());
    let name = draft.name.clone();
    let standing = |definitions: &Definitions| {
        let mut own = definitions.processors().filter(|processor| processor.organization == organization);
        own.find(|processor| processor.name == name).cloned()
    };
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let before = standing(&definitions).map_or_else(JsonObject::default, |processor| processor.config.clone());
    let draft = ProcessorDraft { config: unmasked(&draft.config, &before)?, ..draft };
    vet(ports, caller, &draft).await?;
    let decide = |definitions: &Definitions, moments: Moments| match standing(definitions) {
        Some(standing) => {
            let mut processor = Processor::clone(&standing);
            processor.redefine(draft.clone(), moments.now, moments.active_from);
            Ok(Decided { processor, before: Some(standing) })
        }
        None if is_taken(definitions, organization.as_ref(), &name) => Err(ManageProcessorsError::NameTaken),
        None if definitions.remembered_processors() >= MAX_PROCESSORS => Err(ManageProcessorsError::TooMany),
        None => {
            let (id, organization) = (fresh.clone(), organization.clone());
            let processor = Processor::new(id, organization, draft.clone(), moments.now, moments.active_from);
            Ok(Decided { processor, before: None })
        }
    };
    let processor = Arc::new(save(ports, decide).await?);
    Ok(Observed { processor, tallies: ports.counters.processor_tallies().await?.0.into() })
}

/// Whether a processor that may be given the same events has this name: the platform's are given every organization's.
fn is_taken(definitions: &Definitions, organization: Option<&OrganizationId>, name: &ProcessorName) -> bool {
    let mut others = definitions.processors().filter(|other| other.organization.is_none() || organization.is_none());
    others.any(|other| other.name == *name)
}

/// The processors that the caller may know of, highest priority first, and how they have done.
///
/// # Errors
/// [`ManageProcessorsError::Store`] if the store failed.
pub async fn list_processors(ports: &ManageProcessorsPorts<'_>, caller: &Caller) -> Managing<Vec<Observed>> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let tallies: Arc<ProcessorTallies> = ports.counters.processor_tallies().await?.0.into();
    let own = definitions.processors().filter(|processor| caller.sees(processor.organization.as_ref()));
    Ok(own.map(|processor| Observed { processor: Arc::clone(processor), tallies: Arc::clone(&tallies) }).collect())
}

/// A processor, and how it has done.
///
/// # Errors
/// [`ManageProcessorsError::NotFound`] if there is none that the caller may know of.
pub async fn get_processor(ports: &ManageProcessorsPorts<'_>, caller: &Caller, id: &ProcessorId) -> Managing<Observed> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let processor = own(&definitions, caller, id)?;
    Ok(Observed { processor, tallies: ports.counters.processor_tallies().await?.0.into() })
}

/// What a switch is put to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
    /// The other way.
    Over,
}

/// Switches a processor. Returns whether it is on now.
///
/// # Errors
/// [`ManageProcessorsError::NotFound`] if there is none that the caller may know of.
pub async fn switch_processor(ports: &ManageProcessorsPorts<'_>, caller: &Caller, id: &ProcessorId, switch: Switch) -> Managing<bool> {
    let decide = |definitions: &Definitions, moments: Moments| {
        let standing = own(definitions, caller, id)?;
        let enabled = match switch {
            Switch::On => true,
            Switch::Off => false,
            Switch::Over => !standing.enabled,
        };
        let mut processor = Processor::clone(&standing);
        processor.switch(enabled, moments.now, moments.active_from);
        Ok(Decided { processor, before: Some(standing) })
    };
    Ok(save(ports, decide).await?.enabled)
}

/// Removes a processor. What it was given before is still done.
///
/// # Errors
/// [`ManageProcessorsError::NotFound`] if there is none that the caller may know of.
pub async fn remove_processor(ports: &ManageProcessorsPorts<'_>, caller: &Caller, id: &ProcessorId) -> Managing<()> {
    let decide = |definitions: &Definitions, moments: Moments| {
        let standing = own(definitions, caller, id)?;
        let mut processor = Processor::clone(&standing);
        processor.remove(moments.now, moments.active_from);
        Ok(Decided { processor, before: Some(standing) })
    };
    save(ports, decide).await?;
    Ok(())
}

fn own(definitions: &Definitions, caller: &Caller, id: &ProcessorId) -> Managing<Arc<Processor>> {
    let standing = definitions.processor(id).filter(|processor| processor.removed_at.is_none());
    let own = standing.filter(|processor| caller.sees(processor.organization.as_ref()));
    own.cloned().ok_or(ManageProcessorsError::NotFound)
}

/// The moments that a change knows.
#[derive(Debug, Clone, Copy)]
struct Moments {
    now: Timestamp,
    active_from: Timestamp,
}

/// What a change makes of a processor.
struct Decided {
    processor: Processor,
    before: Option<Arc<Processor>>,
}

impl Decided {
    /// Whether the change concerns which events the processor is given.
    fn shifts(&self) -> bool {
        self.before.as_ref().map_or(self.processor.enabled, |before| before.activations != self.processor.activations)
    }

    /// The processor as it stands, if the change makes nothing else of it.
    fn unchanged(&self) -> Option<Processor> {
        let before = self.before.as_ref()?;
        let mut processor = self.processor.clone();
        processor.updated_at = before.updated_at;
        (processor == **before).then_some(processor)
    }
}

/// Saves what is decided by the definitions as they are, and returns once it holds. Decides again if the definitions were
/// changed in between, and if it was saved so late that an event may have been recorded without it.
async fn save(ports: &ManageProcessorsPorts<'_>, decide: impl Fn(&Definitions, Moments) -> Managing<Decided>) -> Managing<Processor> {
    let mut saved_late: Option<Late> = None;
    let mut saves = 0;
    for _ in 0..MOST_ROUNDS {
        let definitions = ports.definitions.definitions(Freshness::Current).await?;
        let now = ports.clock.now();
        let moments = Moments { now, active_from: now.plus(MARGIN * (1 << saves)) };
        // What was saved too late is decided again from what stood before, unless somebody has changed it since.
        let base = saved_late.as_ref().filter(|late| late.stands_in(&definitions)).map_or(&*definitions, |late| &late.base);
        let decided = decide(base, moments)?;
        if let Some(unchanged) = decided.unchanged() {
            return Ok(unchanged);
        }
        if !ports.definitions.save_processor(&decided.processor, Revision(definitions.revision)).await? {
            continue;
        }
        if !decided.shifts() {
            return Ok(decided.processor);
        }
        if ports.clock.now() < moments.active_from {
            ports.timer.wait_until(moments.active_from).await;
            return Ok(decided.processor);
        }
        saves += 1;
        if saves == MOST_SAVES {
            break;
        }
        let base = saved_late.take().map_or(definitions, |late| late.base);
        saved_late = Some(Late { base, processor: decided.processor });
    }
    Err(StoreError::Contended.into())
}

/// What was saved after the moment from which on it should have held.
struct Late {
    /// The definitions before it.
    base: Arc<Definitions>,
    processor: Processor,
}

impl Late {
    fn stands_in(&self, definitions: &Definitions) -> bool {
        definitions.processor(&self.processor.id).is_some_and(|standing| **standing == self.processor)
    }
}

/// Whether what the processor does can be understood, and may be done for the caller.
async fn vet(ports: &ManageProcessorsPorts<'_>, caller: &Caller, draft: &ProcessorDraft) -> Managing<()> {
    match Action::parse(&draft.kind, &draft.config).map_err(ManageProcessorsError::Config)? {
        Action::Webhook(webhook) => Ok(vet_url(ports.webhooks, &webhook.url).await?),
        Action::Publish(_) if caller.organization.is_some() => Err(ManageProcessorsError::OutOfBounds),
        Action::Publish(_) | Action::Transform(_) | Action::Internal(_) | Action::Unknown => Ok(()),
    }
}

/// `config` with what stood before in place of what answers show of it.
fn unmasked(config: &JsonObject, before: &JsonObject) -> Managing<JsonObject> {
    // Most have nothing to put in place, and keep their text to the letter.
    if !config.as_str().contains(MASK) {
        return Ok(config.clone());
    }
    let mut value = config.to_value();
    let stood = before.to_value();
    put_back(&mut value, &stood, &masked(before));
    if value == stood {
        return Ok(before.clone());
    }
    let mut problems = Vec::new();
    for (field, value) in value.as_object().into_iter().flatten() {
        if holds_mask(value) {
            problems.push(ConfigProblem::new(field, "holds what answers show of a secret, and there is no such secret: send it"));
        }
    }
    if problems.is_empty() {
        // A tree of JSON that was read can always be written and read.
        Ok(JsonObject::parse(&value.to_string()).unwrap_or_default())
    } else {
        Err(ManageProcessorsError::Config(problems))
    }
}

fn put_back(value: &mut Value, before: &Value, shown: &Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if let (Some(before), Some(shown)) = (before.get(name), shown.get(name)) {
                    put_back(value, before, shown);
                }
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter_mut().enumerate() {
                if let (Some(before), Some(shown)) = (before.get(index), shown.get(index)) {
                    put_back(value, before, shown);
                }
            }
        }
        Value::String(text) if text.contains(MASK) && shown.as_str() == Some(text) => *value = before.clone(),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

fn holds_mask(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().any(holds_mask),
        Value::Array(items) => items.iter().any(holds_mask),
        Value::String(text) => text == MASK,
        Value::Number(_) | Value::Bool(_) | Value::Null => false,
    }
}

/// What a processor is tried on.
#[derive(Debug, Clone, PartialEq)]
pub enum Specimen {
    /// An event that is stored.
    Stored(EventId),
    /// An event as if it were recorded now.
    Imagined(Box<EventDraft>),
}

/// What a processor would do with an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What was asked of the event.
    pub checks: Vec<Check>,
    /// Whether all of it holds.
    pub matches: bool,
    /// What follows from that and everything else.
    pub verdict: TrialVerdict,
    /// The event that a transform would derive, or why it would not; nothing for other kinds.
    pub derived: Option<Result<EventDraft, String>>,
}

/// Whether a processor is run for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialVerdict {
    /// It is.
    Runs,
    /// It is, and skips it: its kind is not known.
    Skips,
    /// The event is not one of those that it selects.
    Unselected,
    /// The event belongs to another organization, or to none.
    ForeignEvent,
    /// It is switched off.
    Off,
    /// It was not on, or selected other events, when the event was recorded.
    NotThen,
}

impl TrialVerdict {
    /// Whether the processor is run.
    #[must_use]
    pub const fn runs(self) -> bool {
        match self {
            Self::Runs | Self::Skips => true,
            Self::Unselected | Self::ForeignEvent | Self::Off | Self::NotThen => false,
        }
    }

    /// The same in a sentence.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Runs => "The processor is run for this event.",
            Self::Skips => "The processor is given this event, but its type is not a known one: the result is `skipped`.",
            Self::Unselected => "The event is not one of those that `filters` select.",
            Self::ForeignEvent => "The event does not belong to the processor's organization.",
            Self::Off => "The processor is switched off.",
            Self::NotThen => "The processor was not on, or had other filters, when the event was recorded.",
        }
    }
}

/// Says what a processor would do with an event. Nothing is done.
///
/// # Errors
/// [`ManageProcessorsError`] if there is no such processor or event that the caller may know of.
pub async fn test_processor(ports: &ManageProcessorsPorts<'_>, caller: &Caller, id: &ProcessorId, specimen: Specimen) -> Managing<Trial> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let processor = own(&definitions, caller, id)?;
    let (event, is_stored) = match specimen {
        Specimen::Stored(id) => {
            let found = ports.events.event(id, caller.organization.as_ref()).await?;
            let found = found.filter(|observed| caller.sees(observed.event.organization()));
            (found.ok_or(ManageProcessorsError::NoSuchEvent)?.event, true)
        }
        Specimen::Imagined(mut draft) => {
            draft.organization = caller.organization_for(draft.organization.take())?;
            (imagined(&draft, ports).ok_or(ManageProcessorsError::NoSuchEvent)?, false)
        }
    };
    Ok(trial(&processor, &event, is_stored.then_some(event.recorded_at)))
}

/// The event that a draft would become in a stream of its own.
fn imagined(draft: &EventDraft, ports: &ManageProcessorsPorts<'_>) -> Option<Event> {
    let now = ports.clock.now().whole_millis();
    let plans = plan_streams([(0, draft)], now, ports.random.number());
    let commits = plans.first()?.commits_from(Version::EMPTY.next(), now, Attempt(0), None);
    commits.first()?.to_events().into_iter().next()
}

fn trial(processor: &Processor, event: &Event, recorded_at: Option<Timestamp>) -> Trial {
    let selector = processor.selector();
    let checks = selector.explain(event);
    let matches = selector.matches(&event.details);
    let action = processor.action();
    let is_own = processor.organization.is_none() || processor.organization.as_ref() == event.organization();
    let was_given = recorded_at.is_none_or(|at| processor.is_given(event.organization(), &event.details, at));
    let verdict = if !is_own {
        TrialVerdict::ForeignEvent
    } else if !matches {
        TrialVerdict::Unselected
    } else if !processor.enabled {
        TrialVerdict::Off
    } else if !was_given {
        TrialVerdict::NotThen
    } else if matches!(action, Ok(Action::Unknown)) {
        TrialVerdict::Skips
    } else {
        TrialVerdict::Runs
    };
    let derived = match action {
        Ok(Action::Transform(transform)) => Some(transform.derive(&processor.id, 1, event).map_err(|error| error.to_string())),
        Ok(Action::Webhook(_) | Action::Publish(_) | Action::Internal(_) | Action::Unknown) | Err(_) => None,
    };
    Trial { checks, matches, verdict, derived }
}

#[cfg(test)]
mod tests;
