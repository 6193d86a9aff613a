//! Events, streams, queries and statistics on DynamoDB.
//!
//! A query takes one of four ways. A user's or a session's events are few: all of them are read and
//! sorted. Failed and stuck events are found by their flag. What counters know (type, source,
//! category, organization, time) is read from those lists of the time index that hold anything,
//! with the total and the jump over an `offset` from the counters. Anything else is the same read
//! with every event looked at, up to a bound.

mod by_id;
mod query;
mod streams;
mod walk;

pub(super) use self::walk::{read_day, read_days, read_hour};

use async_trait::async_trait;
use futures::future::try_join;

use super::DynamoEvents;
use crate::domain::commit::Commit;
use crate::domain::counters::{CounterKey, CounterScope, Period};
use crate::domain::event_id::EventId;
use crate::domain::identifiers::OrganizationId;
use crate::domain::query::{EventFilter, EventPage, EventQuery, ObservedEvent};
use crate::domain::statistics::{Statistics, StatisticsScope};
use crate::domain::stream_id::StreamKey;
use crate::domain::timestamp::Timestamp;
use crate::ports::counter_store::CounterStore;
use crate::ports::definition_store::{DefinitionStore, Freshness};
use crate::ports::event_reader::{EventReader, StreamRequest, StreamSlice};
use crate::ports::store_error::StoreError;

#[async_trait]
impl EventReader for DynamoEvents {
    async fn event(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<Option<ObservedEvent>, StoreError> {
        if let Some(location) = id.location()
            && let Some(found) = self.located(id, location, organization).await?
        {
            return Ok(Some(found));
        }
        self.claimed(id, organization).await
    }

    async fn stream(&self, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        match &request.organization {
            Some(_) => {
                let stream = StreamKey { organization: request.organization.clone(), stream: request.stream.clone() };
                self.one_stream(&stream, request).await
            }
            None => self.any_stream(request).await,
        }
    }

    async fn query(&self, query: &EventQuery, now: Timestamp) -> Result<EventPage, StoreError> {
        self.find(query, now).await
    }

    async fn statistics(&self, scope: &StatisticsScope, now: Timestamp) -> Result<Statistics, StoreError> {
        let counters = CounterScope::of(scope.organization.as_ref());
        if let Some(user) = &scope.user {
            let filter = EventFilter { user: Some(user.clone()), organization: scope.organization.clone(), ..EventFilter::default() };
            let ((commits, _), definitions) = try_join(self.of_entity(&filter), self.definitions(Freshness::Recent)).await?;
            let events = commits.iter().flat_map(Commit::to_events).filter(|event| filter.matches(event)).collect();
            return Ok(Statistics::from_events(&self.observe(events, &definitions).await?, now));
        }
        let today = now.hour().day();
        let first = today.monday().min(today.first_of_month());
        let total = CounterKey { scope: counters.clone(), period: Period::Total };
        let days = self.day_totals(&counters, first, today);
        let ((total, _), ((users, _), days)) = try_join(self.tally(&total), try_join(self.ranking(&counters), days)).await?;
        Ok(Statistics::from_counters(&total, &days, &users, now))
    }
}
