//! Wires `collect-frontend` to DynamoDB and SQS.

use collect_frontend::{Ports, handle};
use lambda_http::Error;
use shared::domain::queue::{Queue, WorkQueue};
use shared::lambda::Function;
use shared::wiring::{self, Collecting};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("collect-frontend")?;
    let collecting = Collecting::from_environment(&[Queue::Work(WorkQueue::Collect)])?;
    let settings = wiring::collect_settings()?;
    let ports = &Ports { collect: collecting.ports(), settings: &settings, bridge: wiring::bridge_status(collecting.events()) };
    collecting.events().warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
