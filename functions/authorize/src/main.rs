//! Wires `authorize` to DynamoDB and to the issuer of tokens.

use authorize::{handle, settings};
use lambda_runtime::{Error, LambdaEvent};
use shared::adapters::system::SystemClock;
use shared::lambda::Function;
use shared::ports::token_verifier::TokenVerifier;
use shared::queries::check_access::{CheckAccessPorts, KeyCache};
use shared::wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = Function::start("authorize")?;
    let events = wiring::dynamo_events()?;
    let (tokens, cache) = (settings::tokens()?, KeyCache::new(wiring::bootstrap_key()?));
    let tokens = tokens.as_ref().map(|tokens| tokens as &dyn TokenVerifier);
    let ports = &CheckAccessPorts { keys: &events, tokens, clock: &SystemClock, cache: &cache };
    events.warm_up().await;
    let answer = async |event: LambdaEvent<_>| Ok::<_, Error>(handle(ports, event.payload).await);
    // Boxed: with the tokens that it checks it is large.
    Box::pin(function.serve_events(answer)).await
}
