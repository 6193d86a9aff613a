//! Makes, lists, changes and deletes subscriptions.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::access::{Caller, ForeignOrganization};
use crate::domain::category::EventCategory;
use crate::domain::definitions::Definitions;
use crate::domain::identifiers::{OrganizationId, SubscriptionId};
use crate::domain::json::JsonObject;
use crate::domain::selector::TypePattern;
use crate::domain::signature::WebhookSecret;
use crate::domain::source::EventSource;
use crate::domain::subscription::{DeliveryLogging, Health, Ordering, SigningSecret, Subscription};
use crate::domain::timestamp::Timestamp;
use crate::domain::webhook_url::{RefusedHost, WebhookUrl};
use crate::ports::clock::Clock;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::delivery_log::DeliveryLog;
use crate::ports::random::Random;
use crate::ports::revision::Revision;
use crate::ports::store_error::StoreError;
use crate::ports::webhook_sender::{SendError, WebhookSender};

/// What managing subscriptions needs.
#[derive(Clone, Copy)]
pub struct ManageSubscriptionsPorts<'a> {
    /// Where they are kept.
    pub definitions: &'a dyn DefinitionStore,
    /// Where the health of their receivers is kept.
    pub deliveries: &'a dyn DeliveryLog,
    /// Knows which addresses may be called.
    pub webhooks: &'a dyn WebhookSender,
    /// Says when they are made.
    pub clock: &'a dyn Clock,
    /// Makes their ids and secrets.
    pub random: &'a dyn Random,
}

/// The most subscriptions there may be: all of them are kept in memory by those who send.
pub const MAX_SUBSCRIPTIONS: usize = 1_000;
/// The type of subscribers that must have an address (BR-SUB-003).
pub const WEBHOOK: &str = "webhook";
/// How often a change is tried that others get in the way of.
const MOST_ROUNDS: usize = 10;

/// What a new subscription shall be. What is not given has its default, or stays what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriptionDraft {
    /// Its id, if its owner chose one.
    pub id: Option<SubscriptionId>,
    /// The tenant whose events it hears of.
    pub organization: Option<OrganizationId>,
    /// Who subscribes.
    pub subscriber_name: String,
    /// What kind of subscriber.
    pub subscriber_type: String,
    /// The types.
    pub event_types: Vec<TypePattern>,
    /// The sources.
    pub event_sources: Option<Vec<EventSource>>,
    /// The categories.
    pub event_categories: Option<Vec<EventCategory>>,
    /// Where events are sent.
    pub callback_url: Option<WebhookUrl>,
    /// What signs.
    pub webhook_secret: Option<WebhookSecret>,
    /// Whether events are sent.
    pub enabled: Option<bool>,
    /// When failed deliveries are tried again.
    pub retry_policy: Option<JsonObject>,
    /// Whether a stream's events are sent in their order.
    pub ordering: Option<Ordering>,
    /// The most deliveries a second.
    pub rate_limit: Option<u32>,
    /// Which deliveries are kept in the log.
    pub delivery_log: Option<DeliveryLogging>,
}

/// What happens to a part of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It stays what it is.
    #[default]
    Keep,
    /// It becomes this.
    To(T),
}

impl<T> Change<T> {
    fn apply(self, to: &mut T) {
        match self {
            Self::Keep => {}
            Self::To(value) => *to = value,
        }
    }

    fn if_given(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::To)
    }
}

/// What shall be different about a subscription.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SubscriptionChanges {
    /// Who subscribes.
    pub subscriber_name: Change<String>,
    /// What kind of subscriber.
    pub subscriber_type: Change<String>,
    /// The types.
    pub event_types: Change<Vec<TypePattern>>,
    /// The sources.
    pub event_sources: Change<Option<Vec<EventSource>>>,
    /// The categories.
    pub event_categories: Change<Option<Vec<EventCategory>>>,
    /// Where events are sent.
    pub callback_url: Change<Option<WebhookUrl>>,
    /// What signs; a new one is made if none is given.
    pub webhook_secret: Change<Option<WebhookSecret>>,
    /// Whether events are sent.
    pub enabled: Change<bool>,
    /// When failed deliveries are tried again.
    pub retry_policy: Change<JsonObject>,
    /// Whether a stream's events are sent in their order.
    pub ordering: Change<Ordering>,
    /// The most deliveries a second.
    pub rate_limit: Change<Option<u32>>,
    /// Which deliveries are kept in the log.
    pub delivery_log: Change<DeliveryLogging>,
}

/// A subscription as a change has left it.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscribed {
    /// The subscription.
    pub subscription: Subscription,
    /// Its secret, if this change set it: it is shown this once.
    pub secret: Option<WebhookSecret>,
    /// What the change means for what is kept of it.
    effect: Effect,
}

/// What a change means for what is kept of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It is as it was before.
    Nothing,
    /// It is another.
    Saved,
    /// It is another, and begins anew with its receiver.
    Renewed,
}

/// Why a subscription was not made, shown, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ManageSubscriptionsError {
    /// There is no such subscription, or the caller may not know of it.
    #[error("subscription not found")]
    NotFound,
    /// The caller is bound to one organization and names another.
    #[error(transparent)]
    Foreign(#[from] ForeignOrganization),
    /// The id belongs to a subscription that is not the caller's, or not of the organization that it names (BR-SUB-001).
    #[error("the subscription_id is taken: choose another, or none")]
    IdTaken,
    /// A webhook needs an address (BR-SUB-003).
    #[error("is required for subscribers of type {WEBHOOK}")]
    NoCallbackUrl,
    /// The address may not be called.
    #[error(transparent)]
    Refused(#[from] RefusedHost),
    /// There are too many.
    #[error("there are {MAX_SUBSCRIPTIONS} subscriptions, which is the most: delete one first")]
    TooMany,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

type Managing<T> = Result<T, ManageSubscriptionsError>;

/// Makes a subscription. With an id, replaces the one that has it. Without one, the very same registration again (of the same
/// organization, subscriber, address and events) is the subscription that it made before, with what else is given.
///
/// A caller that is bound to an organization makes subscriptions of that organization.
///
/// # Errors
/// [`ManageSubscriptionsError`]; nothing was changed then, unless the store failed.
pub async fn create_subscription(
    ports: &ManageSubscriptionsPorts<'_>,
    caller: &Caller,
    mut draft: SubscriptionDraft,
) -> Managing<Subscribed> {
    draft.organization = caller.organization_for(draft.organization)?;
    vet(ports, draft.callback_url.as_ref()).await?;
    let fresh = (SubscriptionId::from_random(ports.random.secret()), WebhookSecret::generate(ports.random.secret()));
    save(ports, |definitions| register(definitions, caller, &draft, &fresh, ports.clock.now())).await
}

/// The subscriptions that the caller may know of, oldest first.
///
/// # Errors
/// [`ManageSubscriptionsError::Store`] if the store failed.
pub async fn list_subscriptions(ports: &ManageSubscriptionsPorts<'_>, caller: &Caller) -> Managing<Vec<Arc<Subscription>>> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let own = definitions.subscriptions().filter(|subscription| caller.sees(subscription.organization.as_ref()));
    Ok(own.cloned().collect())
}

/// A subscription, and how its receiver has answered lately.
///
/// # Errors
/// [`ManageSubscriptionsError::NotFound`] if there is none that the caller may know of.
pub async fn get_subscription(
    ports: &ManageSubscriptionsPorts<'_>,
    caller: &Caller,
    id: &SubscriptionId,
) -> Managing<(Arc<Subscription>, Health)> {
    let definitions = ports.definitions.definitions(Freshness::Current).await?;
    let subscription = own(&definitions, caller, id).ok_or(ManageSubscriptionsError::NotFound)?;
    let (health, _) = ports.deliveries.health(id).await?;
    Ok((Arc::clone(subscription), health))
}

/// Changes a subscription.
///
/// # Errors
/// [`ManageSubscriptionsError`]; nothing was changed then, unless the store failed.
pub async fn change_subscription(
    ports: &ManageSubscriptionsPorts<'_>,
    caller: &Caller,
    id: &SubscriptionId,
    changes: SubscriptionChanges,
) -> Managing<Subscribed> {
    if let Change::To(Some(url)) = &changes.callback_url {
        vet(ports, Some(url)).await?;
    }
    let fresh = WebhookSecret::generate(ports.random.secret());
    save(ports, |definitions| {
        let standing = own(definitions, caller, id).ok_or(ManageSubscriptionsError::NotFound)?;
        changed(standing, changes.clone(), &fresh, ports.clock.now())
    })
    .await
}

/// Gives a subscription a new secret: this one, or one that is made. The one before still signs for `overlap`, beside the new
/// one. The same secret again changes nothing.
///
/// # Errors
/// [`ManageSubscriptionsError`]; nothing was changed then, unless the store failed.
pub async fn rotate_secret(
    ports: &ManageSubscriptionsPorts<'_>,
    caller: &Caller,
    id: &SubscriptionId,
    secret: Option<WebhookSecret>,
    overlap: Duration,
) -> Managing<Subscribed> {
    let secret = secret.unwrap_or_else(|| WebhookSecret::generate(ports.random.secret()));
    save(ports, |definitions| {
        let standing = own(definitions, caller, id).ok_or(ManageSubscriptionsError::NotFound)?;
        let mut subscription = Subscription::clone(standing);
        let effect = if newest_secret(standing) == Some(&secret) {
            Effect::Nothing
        } else {
            subscription.rotate(secret.clone(), ports.clock.now(), overlap);
            Effect::Saved
        };
        Ok(Subscribed { subscription, secret: Some(secret.clone()), effect })
    })
    .await
}

/// Deletes a subscription. Nothing is sent to it any more.
///
/// # Errors
/// [`ManageSubscriptionsError::NotFound`] if there is none that the caller may know of.
pub async fn delete_subscription(ports: &ManageSubscriptionsPorts<'_>, caller: &Caller, id: &SubscriptionId) -> Managing<()> {
    for _ in 0..MOST_ROUNDS {
        let definitions = ports.definitions.definitions(Freshness::Current).await?;
        own(&definitions, caller, id).ok_or(ManageSubscriptionsError::NotFound)?;
        if ports.definitions.remove_subscription(id, Revision(definitions.revision)).await? {
            return Ok(());
        }
    }
    Err(StoreError::Contended.into())
}

/// The subscription of this id, if the caller may know of it.
pub(super) fn own<'a>(definitions: &'a Definitions, caller: &Caller, id: &SubscriptionId) -> Option<&'a Arc<Subscription>> {
    definitions.subscription(id).filter(|subscription| caller.sees(subscription.organization.as_ref()))
}

/// Saves what is decided by the definitions as they are; decides again if they were changed in between.
async fn save(ports: &ManageSubscriptionsPorts<'_>, decide: impl Fn(&Definitions) -> Managing<Subscribed>) -> Managing<Subscribed> {
    for _ in 0..MOST_ROUNDS {
        let definitions = ports.definitions.definitions(Freshness::Current).await?;
        let decided = decide(&definitions)?;
        match decided.effect {
            Effect::Nothing => return Ok(decided),
            Effect::Saved => {}
            // Before the subscription is saved: one that was enabled with the failures of before would be disabled at the next.
            Effect::Renewed => forget_failures(ports.deliveries, &decided.subscription.id).await?,
        }
        if ports.definitions.save_subscription(&decided.subscription, Revision(definitions.revision)).await? {
            return Ok(decided);
        }
    }
    Err(StoreError::Contended.into())
}

async fn forget_failures(deliveries: &dyn DeliveryLog, id: &SubscriptionId) -> Result<(), StoreError> {
    for _ in 0..MOST_ROUNDS {
        let (health, revision) = deliveries.health(id).await?;
        let healthy = Health { last_success_at: health.last_success_at, ..Health::default() };
        if health == healthy || deliveries.save_health(id, &healthy, revision).await? {
            return Ok(());
        }
    }
    Err(StoreError::Contended)
}

/// Whether the address may be called. One that cannot be found yet may be: its receiver may come up later, and it is looked at
/// again whenever something is sent.
pub(super) async fn vet_url(webhooks: &dyn WebhookSender, url: &WebhookUrl) -> Result<(), RefusedHost> {
    match webhooks.vet(url).await {
        Ok(()) | Err(SendError::Unresolved | SendError::Connection(_) | SendError::Timeout(_)) => Ok(()),
        Err(SendError::Refused(refused)) => Err(refused),
    }
}

async fn vet(ports: &ManageSubscriptionsPorts<'_>, url: Option<&WebhookUrl>) -> Managing<()> {
    match url {
        Some(url) => Ok(vet_url(ports.webhooks, url).await?),
        None => Ok(()),
    }
}

/// What a registration comes to.
fn register(
    definitions: &Definitions,
    caller: &Caller,
    draft: &SubscriptionDraft,
    (fresh_id, fresh_secret): &(SubscriptionId, WebhookSecret),
    now: Timestamp,
) -> Managing<Subscribed> {
    let standing = match &draft.id {
        Some(id) => definitions.subscription(id),
        None => definitions.subscriptions().find(|subscription| draft.registered(subscription)),
    };
    if let Some(standing) = standing {
        let is_named = draft.organization.is_none() || draft.organization == standing.organization;
        if !(caller.sees(standing.organization.as_ref()) && is_named) {
            return Err(ManageSubscriptionsError::IdTaken);
        }
        let changes = if draft.id.is_some() { draft.replacement() } else { draft.addition() };
        return changed(standing, changes, fresh_secret, now);
    }
    if definitions.subscriptions().count() >= MAX_SUBSCRIPTIONS {
        return Err(ManageSubscriptionsError::TooMany);
    }
    let blank = Subscription {
        id: draft.id.clone().unwrap_or_else(|| fresh_id.clone()),
        organization: draft.organization.clone(),
        subscriber_name: String::new(),
        subscriber_type: String::new(),
        event_types: Vec::new(),
        event_sources: None,
        event_categories: None,
        callback_url: None,
        secrets: Vec::new(),
        enabled: true,
        disabled_because: None,
        retry_policy: JsonObject::default(),
        ordering: Ordering::default(),
        rate_limit: None,
        delivery_log: DeliveryLogging::default(),
        active_since: now,
        selecting_since: now,
        created_at: now,
        updated_at: now,
    };
    changed(&blank, draft.replacement(), fresh_secret, now)
}

impl SubscriptionDraft {
    /// Whether the subscription is one that the same registration made.
    fn registered(&self, subscription: &Subscription) -> bool {
        self.organization == subscription.organization
            && self.subscriber_name == subscription.subscriber_name
            && self.subscriber_type == subscription.subscriber_type
            && self.callback_url == subscription.callback_url
            && self.event_types == subscription.event_types
            && self.event_sources == subscription.event_sources
            && self.event_categories == subscription.event_categories
    }

    /// The changes that make a subscription all that the draft says, and nothing of what it was, but for its secret: that can be
    /// read nowhere, so a client that does not name it cannot mean another.
    fn replacement(&self) -> SubscriptionChanges {
        SubscriptionChanges {
            subscriber_name: Change::To(self.subscriber_name.clone()),
            subscriber_type: Change::To(self.subscriber_type.clone()),
            event_types: Change::To(self.event_types.clone()),
            event_sources: Change::To(self.event_sources.clone()),
            event_categories: Change::To(self.event_categories.clone()),
            callback_url: Change::To(self.callback_url.clone()),
            webhook_secret: Change::if_given(self.webhook_secret.clone().map(Some)),
            enabled: Change::To(self.enabled.unwrap_or(true)),
            retry_policy: Change::To(self.retry_policy.clone().unwrap_or_default()),
            ordering: Change::To(self.ordering.unwrap_or_default()),
            rate_limit: Change::To(self.rate_limit),
            delivery_log: Change::To(self.delivery_log.unwrap_or_default()),
        }
    }

    /// The changes that the draft asks for beyond what made the subscription.
    fn addition(&self) -> SubscriptionChanges {
        SubscriptionChanges {
            webhook_secret: Change::if_given(self.webhook_secret.clone().map(Some)),
            enabled: Change::if_given(self.enabled),
            retry_policy: Change::if_given(self.retry_policy.clone()),
            ordering: Change::if_given(self.ordering),
            rate_limit: Change::if_given(self.rate_limit.map(Some)),
            delivery_log: Change::if_given(self.delivery_log),
            ..SubscriptionChanges::default()
        }
    }
}

fn newest_secret(subscription: &Subscription) -> Option<&WebhookSecret> {
    subscription.secrets.first().map(|signing| &signing.secret)
}

/// The subscription after the changes.
fn changed(before: &Subscription, changes: SubscriptionChanges, fresh: &WebhookSecret, now: Timestamp) -> Managing<Subscribed> {
    let mut after = before.clone();
    changes.subscriber_name.apply(&mut after.subscriber_name);
    changes.subscriber_type.apply(&mut after.subscriber_type);
    changes.event_types.apply(&mut after.event_types);
    changes.event_sources.apply(&mut after.event_sources);
    changes.event_categories.apply(&mut after.event_categories);
    changes.callback_url.apply(&mut after.callback_url);
    changes.enabled.apply(&mut after.enabled);
    changes.retry_policy.apply(&mut after.retry_policy);
    changes.ordering.apply(&mut after.ordering);
    changes.rate_limit.apply(&mut after.rate_limit);
    changes.delivery_log.apply(&mut after.delivery_log);
    if after.subscriber_type.eq_ignore_ascii_case(WEBHOOK) && after.callback_url.is_none() {
        return Err(ManageSubscriptionsError::NoCallbackUrl);
    }
    let mut secret = None;
    match changes.webhook_secret {
        Change::Keep => {}
        Change::To(None) => after.secrets.clear(),
        Change::To(Some(given)) => {
            if newest_secret(&after) != Some(&given) {
                after.secrets = vec![SigningSecret { secret: given.clone(), until: None }];
            }
            secret = Some(given);
        }
    }
    if after.callback_url.is_some() && after.secrets.is_empty() {
        after.secrets.push(SigningSecret { secret: fresh.clone(), until: None });
        secret = Some(fresh.clone());
    }
    if after.is_active() && !before.is_active() {
        after.active_since = now;
    }
    if after.selector() != before.selector() || after.ordering != before.ordering {
        after.selecting_since = now;
    }
    // What waits is sent to a new address; whatever the old one answered does not count there.
    let renewed = (after.enabled && !before.enabled) || after.callback_url != before.callback_url;
    if renewed {
        after.disabled_because = None;
    }
    let effect = match (after == *before, renewed) {
        (true, _) => Effect::Nothing,
        (false, false) => Effect::Saved,
        (false, true) => Effect::Renewed,
    };
    if effect != Effect::Nothing {
        after.updated_at = now;
    }
    Ok(Subscribed { subscription: after, secret, effect })
}
