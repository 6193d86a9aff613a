//! Wires `manage-rejected-events` to DynamoDB and SQS.

use lambda_http::Error;
use manage_rejected_events::handle;
use shared::commands::manage_rejected_events::ManageRejectedEventsPorts;
use shared::domain::queue::{Queue, WorkQueue};
use shared::http::collect::read_event;
use shared::lambda::Function;
use shared::wiring::Collecting;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("manage-rejected-events")?;
    let collecting = Collecting::from_environment(&[Queue::Work(WorkQueue::Collect)])?;
    let ports = &ManageRejectedEventsPorts { collect: collecting.ports(), read: read_event };
    collecting.events().warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
