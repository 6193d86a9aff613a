//! Makes, lists, changes and deletes subscriptions, and sends to them again: `/api/v1/events/subscriptions`.

use lambda_http::{Body, Request, Response};
use shared::commands::manage_subscriptions::{
    ManageSubscriptionsError, ManageSubscriptionsPorts, change_subscription, create_subscription, delete_subscription, get_subscription,
    list_subscriptions, rotate_secret,
};
use shared::commands::resend_deliveries::{
    ResendDeliveriesError, ResendDeliveriesPorts, list_deliveries, recover_deliveries, resend_delivery,
};
use shared::commands::test_subscription::{TestSubscriptionPorts, test_subscription};
use shared::domain::delivery::DeliveryId;
use shared::domain::identifiers::SubscriptionId;
use shared::http::answers::subscriptions::{
    DeletedSubscriptionAnswer, DeliveriesAnswer, RecoveryAnswer, ResentDeliveryAnswer, SubscriptionAnswer, SubscriptionTestAnswer,
    SubscriptionWithHealthAnswer,
};
use shared::http::problem::Problem;
use shared::http::respond::{Addressee, Answer, respond};
use shared::http::routes::{self, Access, Destination, Endpoint, ManageSubscriptionsEndpoint};
use shared::http::{caller, request, subscription_request};

/// What the function needs.
pub struct SubscriptionPorts<'a> {
    /// To make, list, change and delete them.
    pub manage: ManageSubscriptionsPorts<'a>,
    /// To send to them again.
    pub resend: ResendDeliveriesPorts<'a>,
    /// To test them.
    pub test: TestSubscriptionPorts<'a>,
}

/// Answers a request. Whatever is wrong with it, or with the store, is an answer too.
pub async fn handle(ports: &SubscriptionPorts<'_>, request: Request) -> Response<Body> {
    let to = Addressee::of(&request);
    respond(to, answer(ports, &request).await)
}

async fn answer(ports: &SubscriptionPorts<'_>, request: &Request) -> Result<Answer, Problem> {
    let matched = match routes::find(request.method(), request::path(request))? {
        Destination::Options(options) => return Ok(Answer::options(options.methods)),
        Destination::Route(matched) => matched,
    };
    let (Endpoint::ManageSubscriptions(endpoint), Access::Scope(scope)) = (matched.route.endpoint, matched.route.access) else {
        return Err(Problem::no_such_path());
    };
    let caller = caller::authorize(request, scope)?;
    // What is no id is the id of nothing.
    let id = || -> Result<SubscriptionId, Problem> {
        matched.parameter("subscription_id").parse().map_err(|_| ManageSubscriptionsError::NotFound.into())
    };
    match endpoint {
        ManageSubscriptionsEndpoint::Create => {
            let draft = subscription_request::subscription_draft(request::definition_body(request)?)?;
            Answer::json(&SubscriptionAnswer::from(&create_subscription(&ports.manage, &caller, draft).await?))
        }
        ManageSubscriptionsEndpoint::List => {
            let subscriptions = list_subscriptions(&ports.manage, &caller).await?;
            Answer::json(&subscriptions.iter().map(|subscription| SubscriptionAnswer::from(&**subscription)).collect::<Vec<_>>())
        }
        ManageSubscriptionsEndpoint::Get => {
            let (subscription, health) = get_subscription(&ports.manage, &caller, &id()?).await?;
            Answer::json(&SubscriptionWithHealthAnswer::new(&subscription, &health))
        }
        ManageSubscriptionsEndpoint::Change => {
            let (id, changes) = (id()?, subscription_request::subscription_changes(request::definition_body(request)?)?);
            Answer::json(&SubscriptionAnswer::from(&change_subscription(&ports.manage, &caller, &id, changes).await?))
        }
        ManageSubscriptionsEndpoint::Delete => {
            let id = id()?;
            delete_subscription(&ports.manage, &caller, &id).await?;
            Answer::json(&DeletedSubscriptionAnswer::new(&id))
        }
        ManageSubscriptionsEndpoint::RotateSecret => {
            let (id, (secret, overlap)) = (id()?, subscription_request::rotation(request::optional_body(request)?)?);
            Answer::json(&SubscriptionAnswer::from(&rotate_secret(&ports.manage, &caller, &id, secret, overlap).await?))
        }
        ManageSubscriptionsEndpoint::Test => {
            let attempt = test_subscription(&ports.test, &caller, &id()?).await?;
            Answer::json(&SubscriptionTestAnswer::from(&attempt))
        }
        ManageSubscriptionsEndpoint::Deliveries => {
            let wanted = subscription_request::deliveries_request(id()?, request)?;
            let (page, health) = list_deliveries(&ports.resend, &caller, &wanted).await?;
            Answer::json(&DeliveriesAnswer::new(&page, &health)?)
        }
        ManageSubscriptionsEndpoint::Resend => {
            let delivery: DeliveryId = matched.parameter("delivery_id").parse().map_err(|_| ResendDeliveriesError::NoSuchDelivery)?;
            resend_delivery(&ports.resend, &caller, &id()?, &delivery).await?;
            Answer::json(&ResentDeliveryAnswer::new(&delivery))
        }
        ManageSubscriptionsEndpoint::Recover => {
            let (id, wanted) = (id()?, subscription_request::recover_request(request::definition_body(request)?)?);
            let recovered = recover_deliveries(&ports.resend, &caller, &id, &wanted).await?;
            Answer::json(&RecoveryAnswer::new(&recovered, wanted.run))
        }
    }
}
