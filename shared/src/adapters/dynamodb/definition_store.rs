//! Processors, subscriptions and projections on DynamoDB: one partition, and one item that says which revision they have.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use tokio::time::Instant;

use super::DynamoEvents;
use super::failure::store_error;
use super::items::definitions::{self as written, Change};
use super::items::{self, Item, number, text};
use super::keys::{CONFIG_PK, PK, PROCESSOR_PREFIX, REVISION_SK, SK, projection_sk, schemas_sk, subscription_sk};
use super::scan::{Consistency, Direction};
use crate::adapters::system::SystemRandom;
use crate::domain::definitions::Definitions;
use crate::domain::event_schema::EventSchemas;
use crate::domain::identifiers::{EventType, OrganizationId, ProjectionDefinitionId, SubscriptionId};
use crate::domain::processor::Processor;
use crate::domain::projection::ProjectionDefinition;
use crate::domain::subscription::Subscription;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::projection_store::ProjectionDefinitionStore;
use crate::ports::random::Random as _;
use crate::ports::revision::Revision;
use crate::ports::schema_store::SchemaStore;
use crate::ports::store_error::StoreError;

/// How old recent definitions are at most.
const RECENT: Duration = Duration::from_secs(2);
/// How often all definitions are read again because one was saved meanwhile.
const MOST_READS: usize = 20;

/// The definitions as this process knows them.
#[derive(Default)]
pub(super) struct KnownDefinitions(Mutex<Option<Known>>);

struct Known {
    definitions: Arc<Definitions>,
    /// When they were certainly the current ones.
    as_of: Instant,
}

impl KnownDefinitions {
    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> Option<Arc<Definitions>> {
        self.lock().as_ref().filter(|known| known.as_of.elapsed() < RECENT).map(|known| Arc::clone(&known.definitions))
    }

    /// The definitions of this revision, which was the current one at a moment.
    fn confirm(&self, revision: Revision, as_of: Instant) -> Option<Arc<Definitions>> {
        let mut known = self.lock();
        let known = known.as_mut().filter(|known| known.definitions.revision == revision.0)?;
        known.as_of = known.as_of.max(as_of);
        Some(Arc::clone(&known.definitions))
    }

    /// Remembers definitions, unless later ones are known already.
    fn learn(&self, definitions: Definitions, as_of: Instant) -> Arc<Definitions> {
        let definitions = Arc::new(definitions);
        let mut known = self.lock();
        if known.as_ref().is_none_or(|known| known.definitions.revision <= definitions.revision) {
            *known = Some(Known { definitions: Arc::clone(&definitions), as_of });
        }
        definitions
    }

    /// Makes the change that was saved over a revision. What is older than that is forgotten.
    fn advance(&self, seen: Revision, change: impl FnOnce(&Definitions) -> Definitions) {
        let mut known = self.lock();
        match known.take_if(|known| known.definitions.revision <= seen.0) {
            Some(before) if before.definitions.revision == seen.0 => {
                *known = Some(Known { definitions: Arc::new(change(&before.definitions)), as_of: Instant::now() });
            }
            Some(_) | None => {}
        }
    }

    fn forget(&self) {
        *self.lock() = None;
    }
}

impl fmt::Debug for KnownDefinitions {
    /// Without the definitions, which hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KnownDefinitions(..)")
    }
}

#[async_trait]
impl DefinitionStore for DynamoEvents {
    async fn definitions(&self, freshness: Freshness) -> Result<Arc<Definitions>, StoreError> {
        let recent = match freshness {
            Freshness::Current => None,
            Freshness::Recent => self.known.recent(),
        };
        match recent {
            Some(recent) => Ok(recent),
            None => self.current_definitions().await,
        }
    }

    async fn save_processor(&self, processor: &Processor, seen: Revision) -> Result<bool, StoreError> {
        let item = written::write_processor(processor, seen.0 + 1, &self.secrets)?;
        let saved = self.put_definition(item, seen).await;
        self.take_note(saved, seen, |definitions| definitions.with_processor(processor.clone()))
    }

    async fn save_subscription(&self, subscription: &Subscription, seen: Revision) -> Result<bool, StoreError> {
        let item = written::write_subscription(subscription, seen.0 + 1, &self.secrets)?;
        let saved = self.put_definition(item, seen).await;
        self.take_note(saved, seen, |definitions| definitions.with_subscription(subscription.clone()))
    }

    async fn remove_subscription(&self, id: &SubscriptionId, seen: Revision) -> Result<bool, StoreError> {
        let removed = self.remove_definition(&subscription_sk(id), seen).await;
        self.take_note(removed, seen, |definitions| definitions.without_subscription(id))
    }
}

#[async_trait]
impl ProjectionDefinitionStore for DynamoEvents {
    async fn save_projection(&self, projection: &ProjectionDefinition, seen: Revision) -> Result<bool, StoreError> {
        let saved = self.put_definition(written::write_projection(projection, seen.0 + 1)?, seen).await;
        self.take_note(saved, seen, |definitions| definitions.with_projection(projection.clone()))
    }

    async fn remove_projection(&self, id: &ProjectionDefinitionId, seen: Revision) -> Result<bool, StoreError> {
        let removed = self.remove_definition(&projection_sk(id), seen).await;
        self.take_note(removed, seen, |definitions| definitions.without_projection(id))
    }
}

#[async_trait]
impl SchemaStore for DynamoEvents {
    async fn save_schemas(&self, schemas: &EventSchemas, seen: Revision) -> Result<bool, StoreError> {
        let saved = self.put_definition(written::write_schemas(schemas, seen.0 + 1)?, seen).await;
        self.take_note(saved, seen, |definitions| definitions.with_schemas(schemas.clone()))
    }

    async fn remove_schemas(
        &self,
        organization: Option<&OrganizationId>,
        event_type: &EventType,
        seen: Revision,
    ) -> Result<bool, StoreError> {
        let removed = self.remove_definition(&schemas_sk(organization, event_type), seen).await;
        self.take_note(removed, seen, |definitions| definitions.without_schemas(organization, event_type))
    }
}

impl DynamoEvents {
    async fn current_definitions(&self) -> Result<Arc<Definitions>, StoreError> {
        let mut as_of = Instant::now();
        let mut revision = self.definitions_revision().await?;
        for _ in 0..MOST_READS {
            if let Some(known) = self.known.confirm(revision, as_of) {
                return Ok(known);
            }
            if revision == Revision::default() {
                return Ok(self.known.learn(Definitions::default(), as_of));
            }
            let next = Instant::now();
            // The revision is the last of these items, so it is read again after all others.
            let range = (PROCESSOR_PREFIX, REVISION_SK);
            let items = self.between(CONFIG_PK, range, Direction::Forward, None, Consistency::Strong).await?;
            let after = items.last().map(revision_of).transpose()?.unwrap_or_default();
            if after == revision
                && let Some(definitions) = written::read_definitions(&items, &self.secrets)?
            {
                return Ok(self.known.learn(definitions, as_of));
            }
            (revision, as_of) = (after, next);
        }
        Err(StoreError::Contended)
    }

    async fn definitions_revision(&self) -> Result<Revision, StoreError> {
        let row = self.get(CONFIG_PK.to_owned(), REVISION_SK.to_owned()).await?;
        Ok(row.as_ref().map(revision_of).transpose()?.unwrap_or_default())
    }

    async fn put_definition(&self, item: Item, seen: Revision) -> Result<bool, StoreError> {
        let sk = items::read_text(&item, SK)?.to_owned();
        let put = Put::builder().table_name(&self.table).set_item(Some(item)).build();
        let put = put.map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.change_definitions(TransactWriteItem::builder().put(put).build(), Change::Saved(&sk), seen).await
    }

    async fn remove_definition(&self, sk: &str, seen: Revision) -> Result<bool, StoreError> {
        let delete = Delete::builder().table_name(&self.table).key(PK, text(CONFIG_PK)).key(SK, text(sk)).build();
        let delete = delete.map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.change_definitions(TransactWriteItem::builder().delete(delete).build(), Change::Removed(sk), seen).await
    }

    /// Changes a definition and the revision of all, together, if the revision still is the one that was seen.
    async fn change_definitions(&self, definition: TransactWriteItem, change: Change<'_>, seen: Revision) -> Result<bool, StoreError> {
        let built = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Corrupt(error.to_string());
        let row = Put::builder().table_name(&self.table).set_item(Some(written::write_revision(seen.0 + 1, change)));
        let row = if seen == Revision::default() {
            row.condition_expression("attribute_not_exists(pk)")
        } else {
            row.condition_expression("rev = :rev").expression_attribute_values(":rev", number(seen.0))
        };
        let row = TransactWriteItem::builder().put(row.build().map_err(built)?).build();
        // The token lets the client send the call twice: the second time is answered as the first was.
        let token = format!("{:016x}{:016x}", SystemRandom.number(), SystemRandom.number());
        let changed =
            self.client.transact_write_items().transact_items(definition).transact_items(row).client_request_token(token).send().await;
        let Err(error) = changed else { return Ok(true) };
        if let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() {
            let is = |code: &str| canceled.cancellation_reasons().iter().any(|reason| reason.code() == Some(code));
            if is("ConditionalCheckFailed") {
                return Ok(false);
            }
            if is("TransactionConflict") {
                // Another save is under way. Nothing is known of how it ends, unless it has ended.
                return if self.definitions_revision().await? == seen { Err(StoreError::Contended) } else { Ok(false) };
            }
        }
        Err(store_error(error))
    }

    /// Brings what this process knows up to date with how a save went.
    fn take_note(
        &self,
        saved: Result<bool, StoreError>,
        seen: Revision,
        change: impl FnOnce(&Definitions) -> Definitions,
    ) -> Result<bool, StoreError> {
        match saved {
            Ok(true) => self.known.advance(seen, change),
            // Others have saved, or it may be saved: what is known is not what stands.
            Ok(false) | Err(_) => self.known.forget(),
        }
        saved
    }
}

fn revision_of(row: &Item) -> Result<Revision, StoreError> {
    items::read_number(row, items::REVISION).map(Revision)
}
