//! The table, in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use shared::domain::claim::{Claim, ClaimKey, Fence, Slot};
use shared::domain::commit::Commit;
use shared::domain::counters::{ChangeKind, CounterKey, CounterScope, ProcessorTallies, Tally, UserRanking};
use shared::domain::dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterId};
use shared::domain::definitions::Definitions;
use shared::domain::delivery::{Delivery, DeliveryId, Lane};
use shared::domain::event_id::EventId;
use shared::domain::happening::Happening;
use shared::domain::identifiers::{OrganizationId, SubscriptionId};
use shared::domain::outcome::Outcome;
use shared::domain::processor::Processor;
use shared::domain::projection::{Snapshot, SnapshotKey};
use shared::domain::query::{EventPage, EventQuery, ObservedEvent};
use shared::domain::rejected_event::{RejectedEvent, RejectedEventId};
use shared::domain::statistics::{Statistics, StatisticsScope};
use shared::domain::stream_id::{StreamId, StreamKey};
use shared::domain::subscription::{Health, Subscription};
use shared::domain::timestamp::Timestamp;
use shared::domain::version::Version;
use shared::domain::work::StreamRef;
use shared::ports::commit_log::{CommitLog, Put, PutNoting, TogetherWith};
use shared::ports::counter_store::CounterStore;
use shared::ports::dead_letters::DeadLetters;
use shared::ports::definition_store::{DefinitionStore, Freshness};
use shared::ports::delivery_log::{DeliveriesRequest, DeliveryLog, DeliveryPage};
use shared::ports::event_reader::{EventReader, StreamRequest, StreamSlice};
use shared::ports::outcome_log::{ConcludedCommit, OutcomeLog};
use shared::ports::projection_store::{Kept, ProjectionStore};
use shared::ports::rejected_events::RejectedEvents;
use shared::ports::revision::Revision;
use shared::ports::store_error::StoreError;
use shared::ports::stream_reader::{CommitRun, StreamReader};

use super::surroundings::{Flaw, Surroundings, shard_of};

#[async_trait]
impl CommitLog for Surroundings {
    async fn head(&self, stream: &StreamKey) -> Result<Version, StoreError> {
        self.call(self.events.head(stream)).await
    }

    async fn commit_at(&self, slot: &Slot) -> Result<Option<Commit>, StoreError> {
        self.call(self.events.commit_at(slot)).await
    }

    async fn commit_holding(&self, stream: &StreamKey, version: Version) -> Result<Option<Commit>, StoreError> {
        self.call(self.events.commit_holding(stream, version)).await
    }

    async fn is_placed(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<bool, StoreError> {
        self.call(self.events.is_placed(id, organization)).await
    }

    async fn put(&self, commits: &[Commit]) -> Result<Put, StoreError> {
        self.call(async {
            let put = self.events.put(commits).await?;
            if put == Put::Stored {
                self.committed(commits);
            }
            Ok(put)
        })
        .await
    }

    async fn put_noting(&self, commits: &[Commit], together: &TogetherWith) -> Result<PutNoting, StoreError> {
        self.call(async {
            let put = self.events.put_noting(commits, together).await?;
            if put == PutNoting::Stored {
                self.committed(commits);
            }
            Ok(put)
        })
        .await
    }

    async fn claim(&self, key: &ClaimKey) -> Result<Option<Claim>, StoreError> {
        self.call(self.events.claim(key)).await
    }

    async fn put_claim(&self, key: &ClaimKey, claim: &Claim) -> Result<Option<Claim>, StoreError> {
        self.call(self.events.put_claim(key, claim)).await
    }

    async fn move_claim(&self, key: &ClaimKey, from: Fence, claim: &Claim) -> Result<bool, StoreError> {
        self.call(self.events.move_claim(key, from, claim)).await
    }
}

#[async_trait]
impl OutcomeLog for Surroundings {
    async fn outcome(&self, commit: EventId) -> Result<(Option<Outcome>, Revision), StoreError> {
        self.call(self.events.outcome(commit)).await
    }

    async fn save_outcome(&self, of: &ConcludedCommit, outcome: &Outcome, seen: Revision) -> Result<bool, StoreError> {
        self.call(async {
            let (before, standing) = self.events.outcome(outcome.commit).await?;
            let seen = if self.flaw == Flaw::UnseenOutcomes { standing } else { seen };
            let saved = self.events.save_outcome(of, outcome, seen).await?;
            if saved {
                self.history().outcomes.push(outcome.clone());
                let change =
                    ChangeKind::Concluded { organization: of.stream.organization.clone(), before: before.clone(), after: outcome.clone() };
                let commit = Slot { stream: of.stream.clone(), first: of.first };
                self.record(shard_of(outcome.commit), Happening::Concluded { commit, before, after: outcome.clone() }, Some(change));
            }
            Ok(saved)
        })
        .await
    }
}

/// As the table's stream shows it.
fn open(subscription: &Subscription) -> Box<Subscription> {
    Box::new(Subscription { secrets: Vec::new(), ..subscription.clone() })
}

#[async_trait]
impl DefinitionStore for Surroundings {
    async fn definitions(&self, freshness: Freshness) -> Result<Arc<Definitions>, StoreError> {
        let old = self.history().definitions.first().map(|(_, definitions)| Arc::clone(definitions));
        match old.filter(|_| self.flaw == Flaw::OldDefinitions && self.weather.lock().unwrap().storm) {
            // Whoever changes them sees them as they are.
            Some(old) if self.began.load(Ordering::Relaxed) > 0 => Ok(old),
            Some(_) | None if self.flaw == Flaw::Leaks && self.weather.lock().unwrap().storm => {
                let mut definitions = Definitions::clone(&*self.call(self.events.definitions(freshness)).await?);
                for subscription in definitions.clone().subscriptions() {
                    definitions = definitions.with_subscription(Subscription { organization: None, ..Subscription::clone(subscription) });
                }
                Ok(Arc::new(definitions))
            }
            Some(_) | None => self.call(self.events.definitions(freshness)).await,
        }
    }

    async fn save_processor(&self, processor: &Processor, seen: Revision) -> Result<bool, StoreError> {
        self.call(async {
            let saved = self.events.save_processor(processor, seen).await?;
            if saved {
                self.defined(self.events.definitions(Freshness::Current).await?);
            }
            Ok(saved)
        })
        .await
    }

    async fn save_subscription(&self, subscription: &Subscription, seen: Revision) -> Result<bool, StoreError> {
        self.call(async {
            let before = self.events.definitions(Freshness::Current).await?.subscription(&subscription.id).cloned();
            let saved = self.events.save_subscription(subscription, seen).await?;
            if saved {
                self.defined(self.events.definitions(Freshness::Current).await?);
                let after = open(subscription);
                let happening = match before {
                    None => Happening::Subscribed(after),
                    Some(before) => Happening::SubscriptionChanged { before: open(&before), after },
                };
                self.record(shard_of(&subscription.id), happening, None);
            }
            Ok(saved)
        })
        .await
    }

    async fn remove_subscription(&self, id: &SubscriptionId, seen: Revision) -> Result<bool, StoreError> {
        self.call(async {
            let removed = self.events.remove_subscription(id, seen).await?;
            if removed {
                self.defined(self.events.definitions(Freshness::Current).await?);
            }
            Ok(removed)
        })
        .await
    }
}

#[async_trait]
impl EventReader for Surroundings {
    async fn event(&self, id: EventId, organization: Option<&OrganizationId>) -> Result<Option<ObservedEvent>, StoreError> {
        self.call(self.events.event(id, organization)).await
    }

    async fn stream(&self, request: &StreamRequest) -> Result<StreamSlice, StoreError> {
        self.call(self.events.stream(request)).await
    }

    async fn query(&self, query: &EventQuery, now: Timestamp) -> Result<EventPage, StoreError> {
        self.call(self.events.query(query, now)).await
    }

    async fn statistics(&self, scope: &StatisticsScope, now: Timestamp) -> Result<Statistics, StoreError> {
        self.call(self.events.statistics(scope, now)).await
    }
}

#[async_trait]
impl DeliveryLog for Surroundings {
    async fn delivery(&self, subscription: &SubscriptionId, id: &DeliveryId) -> Result<(Option<Delivery>, Revision), StoreError> {
        self.call(self.deliveries.delivery(subscription, id)).await
    }

    async fn save_delivery(&self, delivery: &Delivery, seen: Revision) -> Result<bool, StoreError> {
        self.call(self.deliveries.save_delivery(delivery, seen)).await
    }

    async fn deliveries(&self, request: &DeliveriesRequest) -> Result<DeliveryPage, StoreError> {
        self.call(self.deliveries.deliveries(request)).await
    }

    async fn due_deliveries(&self, now: Timestamp, most: usize) -> Result<Vec<(Delivery, Revision)>, StoreError> {
        self.call(self.deliveries.due_deliveries(now, most)).await
    }

    async fn health(&self, subscription: &SubscriptionId) -> Result<(Health, Revision), StoreError> {
        self.call(self.deliveries.health(subscription)).await
    }

    async fn save_health(&self, subscription: &SubscriptionId, health: &Health, seen: Revision) -> Result<bool, StoreError> {
        self.call(self.deliveries.save_health(subscription, health, seen)).await
    }

    async fn lane(&self, subscription: &SubscriptionId, stream: &StreamRef) -> Result<(Option<Lane>, Revision), StoreError> {
        self.call(self.deliveries.lane(subscription, stream)).await
    }

    async fn save_lane(&self, subscription: &SubscriptionId, stream: &StreamRef, lane: &Lane, seen: Revision) -> Result<bool, StoreError> {
        let ahead = Lane { sent: lane.sent.next(), ..*lane };
        let lane = if self.flaw == Flaw::LanesAhead { &ahead } else { lane };
        self.call(self.deliveries.save_lane(subscription, stream, lane, seen)).await
    }

    async fn take_quota(&self, subscription: &SubscriptionId, now: Timestamp, wanted: u32, limit: u32) -> Result<u32, StoreError> {
        self.call(self.deliveries.take_quota(subscription, now, wanted, limit)).await
    }
}

#[async_trait]
impl DeadLetters for Surroundings {
    async fn park(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        self.call(async {
            self.letters.park(letter).await?;
            let moment = self.next();
            self.history().parked.push((moment, letter.clone()));
            Ok(())
        })
        .await
    }

    async fn letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&DeadLetterId>,
        most: usize,
    ) -> Result<(Vec<DeadLetter>, Option<DeadLetterId>), StoreError> {
        self.call(self.letters.letters(filter, after, most)).await
    }

    async fn remove_letter(&self, id: &DeadLetterId) -> Result<(), StoreError> {
        self.call(self.letters.remove_letter(id)).await
    }
}

#[async_trait]
impl CounterStore for Surroundings {
    async fn tally(&self, key: &CounterKey) -> Result<(Tally, Revision), StoreError> {
        self.call(self.counters.tally(key)).await
    }

    async fn save_tally(&self, key: &CounterKey, tally: &Tally, revision: Revision) -> Result<bool, StoreError> {
        self.call(self.counters.save_tally(key, tally, revision)).await
    }

    async fn ranking(&self, scope: &CounterScope) -> Result<(UserRanking, Revision), StoreError> {
        self.call(self.counters.ranking(scope)).await
    }

    async fn save_ranking(&self, scope: &CounterScope, ranking: &UserRanking, revision: Revision) -> Result<bool, StoreError> {
        self.call(self.counters.save_ranking(scope, ranking, revision)).await
    }

    async fn processor_tallies(&self) -> Result<(ProcessorTallies, Revision), StoreError> {
        self.call(self.counters.processor_tallies()).await
    }

    async fn save_processor_tallies(&self, tallies: &ProcessorTallies, revision: Revision) -> Result<bool, StoreError> {
        self.call(self.counters.save_processor_tallies(tallies, revision)).await
    }
}

#[async_trait]
impl StreamReader for Surroundings {
    async fn commits_after(&self, stream: &StreamKey, after: Version, events: usize) -> Result<CommitRun, StoreError> {
        self.call(async {
            let mut run = self.events.commits_after(stream, after, events).await?;
            if self.flaw == Flaw::ForgottenPage && run.commits.len() > 1 {
                run.commits.pop();
            }
            Ok(run)
        })
        .await
    }

    async fn streams_named(&self, name: &StreamId, most: usize) -> Result<Vec<StreamKey>, StoreError> {
        self.call(self.events.streams_named(name, most)).await
    }
}

#[async_trait]
impl ProjectionStore for Surroundings {
    async fn snapshot(&self, key: &SnapshotKey) -> Result<(Option<Snapshot>, Revision), StoreError> {
        self.call(self.snapshots.snapshot(key)).await
    }

    async fn save_snapshot(&self, key: &SnapshotKey, snapshot: &Snapshot, seen: Revision) -> Result<Kept, StoreError> {
        self.call(self.snapshots.save_snapshot(key, snapshot, seen)).await
    }

    async fn remove_snapshot(&self, key: &SnapshotKey) -> Result<(), StoreError> {
        self.call(self.snapshots.remove_snapshot(key)).await
    }
}

#[async_trait]
impl RejectedEvents for Surroundings {
    async fn keep(&self, events: &[RejectedEvent]) -> Result<(), StoreError> {
        self.call(self.rejected.keep(events)).await
    }

    async fn rejected_event(&self, id: &RejectedEventId) -> Result<Option<RejectedEvent>, StoreError> {
        self.call(self.rejected.rejected_event(id)).await
    }

    async fn rejected_events(
        &self,
        organization: Option<&OrganizationId>,
        after: Option<&RejectedEventId>,
        most: usize,
    ) -> Result<(Vec<RejectedEvent>, Option<RejectedEventId>), StoreError> {
        self.call(self.rejected.rejected_events(organization, after, most)).await
    }

    async fn remove_rejected_event(&self, id: &RejectedEventId) -> Result<(), StoreError> {
        self.call(self.rejected.remove_rejected_event(id)).await
    }
}
