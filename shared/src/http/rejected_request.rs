//! Which rejected events are asked for.

use lambda_http::Request;

use super::problem::Problem;
use super::query_request::{limit, parameters_of};
use super::request::query_string;
use crate::domain::rejected_event::RejectedEventId;

/// A list of rejected events as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedEventsRequest {
    /// After which one.
    pub after: Option<RejectedEventId>,
    /// How many.
    pub limit: usize,
}

/// The rejected events that a query string asks for.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn rejected_events_request(request: &Request) -> Result<RejectedEventsRequest, Problem> {
    let parameters = query_string(request)?;
    let mut fields = parameters_of(&parameters)?;
    let after = fields.text("cursor").map(RejectedEventId);
    let limit = limit(&mut fields);
    fields.finish(Some(RejectedEventsRequest { after, limit })).map_err(Problem::invalid)
}
