//! The items of a request: one, a list, or an object that holds a list.

use serde_json::value::RawValue;

use super::{loose_moment, loose_text};
use crate::domain::collected_event::Circumstances;
use crate::domain::json::JsonObject;
use crate::http::fields::{Blank, Fields, list_of};
use crate::http::problem::{FieldProblem, FieldProblemKind, Place, Problem, too_long};

/// The most items of a request, where nothing else is said.
pub const MOST_ITEMS: usize = 1000;

/// The items of a request's body.
pub struct Items<'a> {
    /// The items.
    pub items: Vec<&'a RawValue>,
    /// Whether the body is one item, and not a list of one.
    pub single: bool,
    /// The key that the body names, as some SDKs have it.
    pub write_key: Option<String>,
}

/// The body's member of this name, which is a list.
///
/// # Errors
/// [`Problem::invalid`] if there is none, or it has more than `most` items.
fn items_of<'a>(body: &'a RawValue, name: &'static str, most: usize) -> Result<(Fields<'a>, Vec<&'a RawValue>), Problem> {
    let loc = vec![Place::name("body")];
    let mut fields = Fields::read(body, loc, Blank::Value).map_err(|problem| Problem::invalid(vec![problem]))?;
    if fields.given(name).is_none() {
        fields.missing(name);
    }
    let items = fields.list(name);
    let Some(items) = items else { return Err(Problem::invalid(fields.finish(None::<()>).err().unwrap_or_default())) };
    within(items.len(), fields.loc(name), most)?;
    Ok((fields, items))
}

/// Whether there are no more items than there may be.
pub(super) fn within(items: usize, loc: Vec<Place>, most: usize) -> Result<(), Problem> {
    if items > most {
        let input = serde_json::Value::String(format!("{items} items"));
        return Err(Problem::invalid(vec![too_long(loc, most, items, input)]));
    }
    Ok(())
}

/// The events of a body of `frontend/batch`, and what it says of the client.
///
/// # Errors
/// [`Problem::invalid`] if it has no list of events, or one of more than `most`.
pub fn frontend<'a>(body: &'a RawValue, circumstances: &mut Circumstances, most: usize) -> Result<Vec<&'a RawValue>, Problem> {
    let (fields, items) = items_of(body, "events", most)?;
    circumstances.context = fields.given("client_info").and_then(|json| JsonObject::parse(json.get()).ok()).unwrap_or_default();
    circumstances.sent_at = loose_moment(&fields, &["sent_at", "sentAt"]);
    Ok(items)
}

/// The messages of a body that is one message, a list of them, or an object that holds one as `batch`.
///
/// # Errors
/// [`Problem::invalid`] if it is none of these, or has more than [`MOST_ITEMS`].
pub fn analytics<'a>(body: &'a RawValue, circumstances: &mut Circumstances) -> Result<Items<'a>, Problem> {
    let loc = vec![Place::name("body")];
    if let Some(items) = list_of(body) {
        within(items.len(), loc, MOST_ITEMS)?;
        return Ok(Items { items, single: false, write_key: None });
    }
    let not_one = |_| {
        let msg = "Input should be a message, a list of messages, or a dictionary that holds one as 'batch'";
        Problem::invalid(vec![FieldProblem::with_json(FieldProblemKind::DictType, loc.clone(), msg, body)])
    };
    let fields = Fields::read(body, loc.clone(), Blank::Value).map_err(not_one)?;
    let write_key = loose_text(&fields, &["writeKey"]);
    if fields.given("batch").is_none() {
        return Ok(Items { items: vec![body], single: true, write_key });
    }
    let (fields, items) = items_of(body, "batch", MOST_ITEMS)?;
    circumstances.context = fields.given("context").and_then(|json| JsonObject::parse(json.get()).ok()).unwrap_or_default();
    circumstances.sent_at = loose_moment(&fields, &["sentAt", "sent_at"]);
    Ok(Items { items, single: false, write_key })
}
