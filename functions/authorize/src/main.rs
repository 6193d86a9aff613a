//! Wires `authorize` to DynamoDB and to the issuer of tokens.

use std::convert::Infallible;

use authorize::{handle, settings};
use aws_lambda_events::apigw::ApiGatewayV2CustomAuthorizerV2Request;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use shared::adapters::system::SystemClock;
use shared::config;
use shared::ports::token_verifier::TokenVerifier;
use shared::queries::check_access::{CheckAccessPorts, KeyCache};
use shared::telemetry::{self, LogFormat};
use shared::wiring;
use tracing::Level;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::start(LogFormat::Json, config::parsed("LOG_LEVEL")?.unwrap_or(Level::WARN));
    let events = wiring::dynamo_events()?;
    let (tokens, cache) = (settings::tokens()?, KeyCache::new(settings::bootstrap_key()?));
    let tokens = tokens.as_ref().map(|tokens| tokens as &dyn TokenVerifier);
    let ports = &CheckAccessPorts { keys: &events, tokens, clock: &SystemClock, cache: &cache };
    events.warm_up().await;
    let answer = async |event: LambdaEvent<ApiGatewayV2CustomAuthorizerV2Request>| Ok::<_, Infallible>(handle(ports, event.payload).await);
    run(service_fn(answer)).await
}
