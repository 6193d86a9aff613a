//! Wires `receive-analytics` to DynamoDB and SQS.

use lambda_http::Error;
use receive_analytics::{Ports, handle};
use shared::adapters::system::SystemClock;
use shared::domain::queue::{Queue, WorkQueue};
use shared::lambda::Function;
use shared::queries::check_access::{CheckAccessPorts, KeyCache};
use shared::wiring::{self, Collecting};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("receive-analytics")?;
    let collecting = Collecting::from_environment(&[Queue::Work(WorkQueue::Collect)])?;
    let settings = wiring::collect_settings()?;
    let cache = KeyCache::new(wiring::bootstrap_key()?);
    let access = CheckAccessPorts { keys: collecting.events(), tokens: None, clock: &SystemClock, cache: &cache };
    let ports = &Ports { collect: collecting.ports(), settings: &settings, access };
    collecting.events().warm_up().await;
    function.serve_requests(|request| handle(ports, request)).await
}
