//! Wires `store-collected` to DynamoDB.

use lambda_runtime::Error;
use shared::adapters::system::{SystemClock, SystemRandom};
use shared::commands::append::{AppendPorts, KnownHeads};
use shared::commands::collect_events::StoreHeldPorts;
use shared::lambda::Function;
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("store-collected")?;
    let events = wiring::dynamo_events()?;
    let heads = KnownHeads::default();
    let append = AppendPorts { log: &events, random: &SystemRandom, heads: &heads };
    let ports = &StoreHeldPorts { append, rejected: &events, clock: &SystemClock };
    events.warm_up().await;
    function.serve_events(async |event| store_collected::handle(ports, event).await).await
}
