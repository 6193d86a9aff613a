//! Items of replays.

use super::{Item, body_of, insert_body, read_body, size, text};
use crate::adapters::dynamodb::keys;
use crate::domain::replay::Replay;
use crate::ports::store_error::StoreError;

/// How it is going, for those who filter the table's stream.
const STATE: &str = "st";

/// A replay's item, to be put over the one before.
pub(in crate::adapters::dynamodb) fn write_replay(replay: &Replay) -> Result<Item, StoreError> {
    let mut item = Item::from([
        (keys::PK.to_owned(), text(keys::REPLAYS_PK)),
        (keys::SK.to_owned(), text(replay.id.as_str())),
        (STATE.to_owned(), text(replay.state.as_str())),
    ]);
    if let Some(due_at) = replay.due_at {
        item.insert(keys::WHO.to_owned(), text(keys::REPLAY_DUE_WHO));
        item.insert(keys::ORDER.to_owned(), text(keys::due_replay_order(due_at, &replay.id)));
    }
    let body = body_of(size(&item) + super::REVISED_BYTES, replay)?;
    insert_body(&mut item, body);
    Ok(item)
}

/// Reads what [`write_replay`] wrote.
pub(in crate::adapters::dynamodb) fn read_replay(item: &Item) -> Result<Replay, StoreError> {
    read_body(item)
}

/// Whether the item is a replay.
#[cfg(feature = "stream")]
pub(in crate::adapters::dynamodb) fn is_replay(item: &Item) -> bool {
    super::read_text(item, keys::PK).is_ok_and(|pk| pk == keys::REPLAYS_PK)
}
