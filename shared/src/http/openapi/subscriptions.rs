//! Routes that manage subscriptions.

use serde_json::{Value, json};
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::openapi::{ComponentsBuilder, Ref};

use super::parts::{Description, in_path, in_query, json_request, json_response, limit_parameter, optional_request, parameter, text};
use super::schemas::{DeliveryLoggingSchema, DeliveryStatusSchema, OrderingSchema, RecoverScopeSchema};
use crate::domain::delivery::DeliveryState;
use crate::http::answers::subscriptions::{
    AttemptAnswer, DeletedSubscriptionAnswer, DeliveriesAnswer, DeliveryAnswer, ReceiverHealthAnswer, RecoveryAnswer, ResentDeliveryAnswer,
    SubscriptionAnswer, SubscriptionTestAnswer, SubscriptionWithHealthAnswer,
};
use crate::http::problem::ProblemKind;
use crate::http::routes::ManageSubscriptionsEndpoint;
use crate::http::subscription_request::{
    RecoverRequestBody, RetryPolicyRequest, RotateSecretRequest, SubscriptionChangeRequest, SubscriptionRequest,
};

const TAG: &str = "Subscriptions";

pub(super) fn with_schemas(components: ComponentsBuilder) -> ComponentsBuilder {
    components
        .schema_from::<OrderingSchema>()
        .schema_from::<DeliveryLoggingSchema>()
        .schema_from::<DeliveryStatusSchema>()
        .schema_from::<RecoverScopeSchema>()
        .schema_from::<SubscriptionRequest>()
        .schema_from::<SubscriptionChangeRequest>()
        .schema_from::<RetryPolicyRequest>()
        .schema_from::<RotateSecretRequest>()
        .schema_from::<RecoverRequestBody>()
        .schema_from::<SubscriptionAnswer<'static>>()
        .schema_from::<SubscriptionWithHealthAnswer<'static>>()
        .schema_from::<ReceiverHealthAnswer>()
        .schema_from::<DeletedSubscriptionAnswer<'static>>()
        .schema_from::<DeliveriesAnswer>()
        .schema_from::<DeliveryAnswer<'static>>()
        .schema_from::<AttemptAnswer<'static>>()
        .schema_from::<ResentDeliveryAnswer<'static>>()
        .schema_from::<RecoveryAnswer>()
        .schema_from::<SubscriptionTestAnswer<'static>>()
}

fn id() -> utoipa::openapi::path::Parameter {
    in_path("subscription_id", "The subscription's id.")
}

pub(super) fn describe_subscriptions(endpoint: ManageSubscriptionsEndpoint) -> Description {
    match endpoint {
        ManageSubscriptionsEndpoint::Create => Description {
            tag: TAG,
            text: "Events that are recorded from now on and that the subscription selects are sent to its `callback_url`, each as `POST` \
                   with the body `{\"type\", \"timestamp\", \"data\"}`, signed as Standard Webhooks has it (`webhook-id`, \
                   `webhook-timestamp`, `webhook-signature`) and with `X-Event-Signature: sha256=<hex HMAC of the body>`. Any 2xx is \
                   success; 408, 429, 5xx and no answer are tried again by `retry_policy`; 410 disables the subscription. An event \
                   may come more than once, always with the same `webhook-id`. The secret is in this answer only. With a \
                   `subscription_id` that exists, that subscription is replaced, but for its secret if none is given. Without one, \
                   the very same registration again (organization, name, type, URL, types, sources, categories) answers the \
                   subscription that it made before, with what else is given.",
            parameters: Vec::new(),
            body: Some(json_request(Ref::from_schema_name("SubscriptionRequest"), example_request())),
            answer: json_response("The subscription.", Ref::from_schema_name("Subscription"), Some(example_subscription())),
            problems: &[ProblemKind::Conflict, ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ManageSubscriptionsEndpoint::List => Description {
            tag: TAG,
            text: "The subscriptions of the credential's organization, or all, oldest first, disabled ones too.",
            parameters: Vec::new(),
            body: None,
            answer: json_response("The subscriptions.", ArrayBuilder::new().items(Ref::from_schema_name("Subscription")), None),
            problems: &[],
        },
        ManageSubscriptionsEndpoint::Get => Description {
            tag: TAG,
            text: "A subscription, and how its receiver has answered lately.",
            parameters: vec![id()],
            body: None,
            answer: json_response("The subscription.", Ref::from_schema_name("SubscriptionWithHealth"), None),
            problems: &[ProblemKind::NotFound],
        },
        ManageSubscriptionsEndpoint::Change => Description {
            tag: TAG,
            text: "One that is enabled again or gets another address begins anew: it is sent events that are recorded from now on, and \
                   its earlier failures count no more. What it missed can be recovered.",
            parameters: vec![id()],
            body: Some(json_request(Ref::from_schema_name("SubscriptionChangeRequest"), example_change())),
            answer: json_response("The subscription.", Ref::from_schema_name("Subscription"), None),
            problems: &[ProblemKind::NotFound, ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ManageSubscriptionsEndpoint::Delete => Description {
            tag: TAG,
            text: "Nothing is sent to it any more, not even what failed before.",
            parameters: vec![id()],
            body: None,
            answer: json_response("The subscription is deleted.", Ref::from_schema_name("DeletedSubscription"), None),
            problems: &[ProblemKind::NotFound],
        },
        ManageSubscriptionsEndpoint::RotateSecret => Description {
            tag: TAG,
            text: "Requests are signed with the new secret and, for as long as asked, with the old one too: `webhook-signature` holds \
                   both, and `X-Event-Signature-Previous` is of the old one. The new secret is in this answer only.",
            parameters: vec![id()],
            body: Some(optional_request(Ref::from_schema_name("RotateSecretRequest"), example_rotation())),
            answer: json_response("The subscription.", Ref::from_schema_name("Subscription"), None),
            problems: &[ProblemKind::NotFound, ProblemKind::TooLarge, ProblemKind::Invalid],
        },
        ManageSubscriptionsEndpoint::Test => Description {
            tag: TAG,
            text: "Sends a body of type `webhook.test` at once and once, signed like any other, also if the subscription is disabled. \
                   The answer is 200 whatever the receiver says.",
            parameters: vec![id()],
            body: None,
            answer: json_response("What came of it.", Ref::from_schema_name("SubscriptionTest"), Some(example_test_answer())),
            problems: &[ProblemKind::NotFound, ProblemKind::Conflict],
        },
        ManageSubscriptionsEndpoint::Deliveries | ManageSubscriptionsEndpoint::Resend | ManageSubscriptionsEndpoint::Recover => {
            describe_deliveries(endpoint)
        }
    }
}

fn describe_deliveries(endpoint: ManageSubscriptionsEndpoint) -> Description {
    let delivery = in_path("delivery_id", "The delivery's id.");
    let resend = Description {
        tag: TAG,
        text: "Sends an event of the log again, whatever became of it before; its attempts begin anew. An event that the log does not \
               have, because it went well at the first attempt, can be sent again with a recovery.",
        parameters: vec![id(), delivery],
        body: None,
        answer: json_response("It will be sent.", Ref::from_schema_name("ResentDelivery"), None),
        problems: &[ProblemKind::NotFound, ProblemKind::Conflict],
    };
    if endpoint == ManageSubscriptionsEndpoint::Resend {
        return resend;
    }
    if endpoint == ManageSubscriptionsEndpoint::Recover {
        return Description {
            tag: TAG,
            text: "Sends again the events that were recorded since a moment and whose delivery failed or was canceled, or all that the \
                   subscription selects. One call looks at up to 10000 of them: go on with `next_cursor`. Of `all`, events are found \
                   whose `timestamp` is at most a day before `since`. A subscription with `ordering` `stream` is sent each stream \
                   concerned from the first such event on.",
            parameters: vec![id()],
            body: Some(json_request(Ref::from_schema_name("RecoverRequestBody"), example_recover())),
            answer: json_response("They will be sent.", Ref::from_schema_name("Recovery"), Some(example_recovery())),
            problems: &[ProblemKind::NotFound, ProblemKind::Conflict, ProblemKind::TooLarge, ProblemKind::Invalid],
        };
    }
    let states = text().enum_values(Some(DeliveryState::ALL.iter().map(|state| state.as_str())));
    Description {
        tag: TAG,
        text: "What was sent, those of the latest events first. What went well at the first attempt is kept only if `delivery_log` is \
               `all`; what came to an end is kept for 30 days.",
        parameters: vec![
            id(),
            parameter("status", ParameterIn::Query, states, "Only those that have come so far."),
            in_query("since", "Only those of events that were stored from this moment on."),
            limit_parameter(),
            in_query("cursor", "`next_cursor` of the page before."),
        ],
        body: None,
        answer: json_response("The deliveries.", Ref::from_schema_name("Deliveries"), Some(example_deliveries())),
        problems: &[ProblemKind::NotFound, ProblemKind::Invalid],
    }
}

pub(super) fn example_request() -> Value {
    json!({
        "subscriber_name": "notification_service", "subscriber_type": "webhook", "event_types": ["user.created", "order.*"],
        "callback_url": "https://notifications.example.com/webhooks/events", "retry_policy": {"max_retries": 5, "backoff_seconds": [5, 60, 600]},
    })
}

pub(super) fn example_change() -> Value {
    json!({"event_types": ["user.*"], "rate_limit": 50, "enabled": true})
}

pub(super) fn example_rotation() -> Value {
    json!({"overlap_seconds": 3600})
}

pub(super) fn example_recover() -> Value {
    json!({"since": "2026-11-23T08:00:00Z", "scope": "failed", "dry_run": true})
}

pub(super) fn example_recovery() -> Value {
    json!({"status": "dry_run", "count": 17, "has_more": false, "next_cursor": null})
}

pub(super) fn example_subscription() -> Value {
    json!({
        "subscription_id": "5f0c6a51-3a51-4b0e-9d0e-6a1b2c3d4e5f", "subscriber_name": "notification_service", "subscriber_type": "webhook",
        "event_types": ["user.created", "order.*"], "event_sources": null, "event_categories": null,
        "callback_url": "https://notifications.example.com/webhooks/events", "webhook_secret": "whsec_…4dQk", "enabled": true,
        "disabled_reason": null, "retry_policy": {"max_retries": 5, "backoff_seconds": [5, 60, 600]}, "ordering": "none",
        "rate_limit": null, "delivery_log": "failures", "organization_id": null, "created_at": "2026-11-23T10:11:12.345678Z",
        "updated_at": "2026-11-23T10:11:12.345678Z",
    })
}

pub(super) fn example_test_answer() -> Value {
    json!({"delivered": false, "status_code": 401, "duration_ms": 38, "response": "unknown signature", "error": null})
}

pub(super) fn example_deliveries() -> Value {
    json!({
        "deliveries": [{
            "delivery_id": "msg_019e9f5d31a08a4e9c1f2b6d3f0000015c1a9e07", "event_id": "019e9f5d-31a0-8a4e-9c1f-2b6d3f000001",
            "event_type": "order.placed", "status": "retrying", "attempt_count": 1, "attempts": [{
                "at": "2026-11-23T10:11:13.100000Z", "status_code": 503, "duration_ms": 212, "response": "try later", "error": null,
            }],
            "next_attempt_at": "2026-11-23T10:11:18.100000Z", "updated_at": "2026-11-23T10:11:13.100000Z",
        }],
        "last_success_at": "2026-11-23T10:10:02.000000Z", "has_more": false, "next_cursor": null,
    })
}
