//! Wires `receive-rudderstack` to DynamoDB and SQS.

use lambda_http::Error;
use receive_rudderstack::{Ports, handle};
use shared::domain::queue::{Queue, WorkQueue};
use shared::lambda::Function;
use shared::wiring::{self, Collecting};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("receive-rudderstack")?;
    let collecting = Collecting::from_environment(&[Queue::Work(WorkQueue::Collect)])?;
    let settings = wiring::collect_settings()?;
    let secret = wiring::rudderstack_secret()?;
    let ports = &Ports { collect: collecting.ports(), settings: &settings, secret: secret.as_ref() };
    collecting.events().warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
