//! Routes that send events again.

use serde_json::{Value, json};
use utoipa::openapi::{ComponentsBuilder, Ref};

use super::parts::{Description, in_path, in_query, json_request, json_response, limit_parameter};
use super::schemas::ReplayStateSchema;
use crate::http::answers::replays::{ReplayAnswer, ReplayFailureAnswer, ReplayedEventAnswer, ReplaysAnswer, StartedReplayAnswer};
use crate::http::problem::ProblemKind;
use crate::http::replay_request::{ReplayRequestBody, RepublishRequestBody};
use crate::http::routes::ReplayEventsEndpoint;

const TAG: &str = "Replay";

pub(super) fn with_schemas(components: ComponentsBuilder) -> ComponentsBuilder {
    components
        .schema_from::<ReplayStateSchema>()
        .schema_from::<ReplayRequestBody>()
        .schema_from::<RepublishRequestBody>()
        .schema_from::<StartedReplayAnswer<'static>>()
        .schema_from::<ReplayedEventAnswer<'static>>()
        .schema_from::<ReplayAnswer<'static>>()
        .schema_from::<ReplayFailureAnswer<'static>>()
        .schema_from::<ReplaysAnswer<'static>>()
}

pub(super) fn describe_replays(endpoint: ReplayEventsEndpoint) -> Description {
    match endpoint {
        ReplayEventsEndpoint::Start => Description {
            tag: TAG,
            text: "Sends events of the past to one receiver: a stream, events by their ids, or what happened in a range of time and fits                    the conditions of a query. Each is sent at least once, those of a stream in its order, and is marked: `replay` and                    `replay_id` beside the event. A subscription or a processor gets what it selects; the rest is skipped. The events and                    what became of them stay as they are. `dry_run` says how many there are, and which come first.",
            parameters: Vec::new(),
            body: Some(json_request(Ref::from_schema_name("ReplayRequest"), example_request())),
            answer: json_response("It goes on by itself.", Ref::from_schema_name("StartedReplay"), Some(example_started())),
            problems: &[ProblemKind::NotFound, ProblemKind::Conflict, ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ReplayEventsEndpoint::List => Description {
            tag: TAG,
            text: "The replays of the credential's organization, or all, latest first. A page may have fewer than asked for, and yet not be                    the last.",
            parameters: vec![limit_parameter(), in_query("cursor", "`next_cursor` of the page before.")],
            body: None,
            answer: json_response("The replays.", Ref::from_schema_name("Replays"), None),
            problems: &[ProblemKind::Invalid],
        },
        ReplayEventsEndpoint::Get => Description {
            tag: TAG,
            text: "",
            parameters: vec![in_path("replay_id", "The replay's id.")],
            body: None,
            answer: json_response("The replay.", Ref::from_schema_name("Replay"), Some(example_replay())),
            problems: &[ProblemKind::NotFound],
        },
        ReplayEventsEndpoint::Cancel => Description {
            tag: TAG,
            text: "What is being sent at this moment is still sent.",
            parameters: vec![in_path("replay_id", "The replay's id.")],
            body: None,
            answer: json_response("The replay, canceled.", Ref::from_schema_name("Replay"), None),
            problems: &[ProblemKind::NotFound, ProblemKind::Conflict],
        },
        ReplayEventsEndpoint::Republish => Description {
            tag: TAG,
            text: "Fills what NATS has lost: publishes what happened in a range of time, and fits the conditions of a query, as when it was \
                   new, on the same subjects and under the same ids, with what the service has told of it. What NATS has had within its \
                   duplicate window it does not take twice. It is a replay, and goes on by itself. `dry_run` says how many events that \
                   would be.",
            parameters: Vec::new(),
            body: Some(json_request(Ref::from_schema_name("RepublishRequest"), example_republish())),
            answer: json_response("It goes on by itself.", Ref::from_schema_name("StartedReplay"), Some(example_started())),
            problems: &[ProblemKind::Conflict, ProblemKind::TooLarge, ProblemKind::Invalid],
        },
    }
}

pub(super) fn example_republish() -> Value {
    json!({"start_time": "2026-11-23T10:00:00Z", "end_time": "2026-11-23T12:00:00Z", "dry_run": true})
}

pub(super) fn example_request() -> Value {
    json!({"stream_id": "user:user_12345", "from_version": 1, "target_service": "user_service", "dry_run": true})
}

pub(super) fn example_started() -> Value {
    json!({
        "status": "replay_started", "message": "dry run: 156 events would be sent again, and none was", "dry_run": true, "replay_id": null,
        "events_count": 156, "events_count_is_exact": true,
        "events": [{
            "event_id": "019e9f5d-31a0-8a4e-9c1f-2b6d3f000001", "event_type": "user.created", "stream_id": "user:user_12345",
            "stream_version": 1, "organization_id": null, "timestamp": "2026-11-23T10:11:12.345678Z",
        }],
    })
}

pub(super) fn example_replay() -> Value {
    json!({
        "replay_id": "019ac3f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b", "status": "running", "target_service": "user_service",
        "stream_id": "user:user_12345", "events_count": 156, "events_count_is_exact": true, "replayed": 99, "skipped": 0, "failed": 1,
        "failures": [{"event_id": "019e9f5d-31a0-8a4e-9c1f-2b6d3f000001", "reason": "the receiver answered 400"}], "reason": null,
        "rate_limit": 100, "organization_id": null, "started_by": "key:7c968ee449a5751c", "started_at": "2026-11-23T12:00:00.000000Z",
        "updated_at": "2026-11-23T12:00:01.000000Z", "completed_at": null,
    })
}
