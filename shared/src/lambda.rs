//! What every Lambda function's `main` begins with and ends in.

use std::future::Future;
use std::time::Duration;

use lambda_runtime::{Context, Error, LambdaEvent, run, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Level;

use crate::adapters::system::SystemClock;
use crate::config::{self, ConfigError};
use crate::ports::clock::Clock as _;
use crate::telemetry::Invocations;

/// How long before Lambda stops an invocation what it has logged is written.
const LAST_MOMENT: Duration = Duration::from_millis(300);

/// A function, from its start on.
pub struct Function {
    invocations: Invocations,
}

impl Function {
    /// Starts the function's log at the level in `LOG_LEVEL`, `warn` if it is not set. Metrics are those of `SERVICE_NAME`.
    ///
    /// # Errors
    /// [`ConfigError`] if a variable cannot be read.
    pub fn start(name: &'static str) -> Result<Self, ConfigError> {
        let level = config::parsed("LOG_LEVEL")?.unwrap_or(Level::WARN);
        let service = config::optional("SERVICE_NAME").unwrap_or_else(|| "event-service".to_owned());
        let invocations = Invocations::new(name, &service, || SystemClock.now().millis(), |line| eprintln!("{line}"));
        invocations.start(level);
        std::panic::set_hook(Box::new(|panic| {
            let at = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(at, reason = panic.payload_as_str().unwrap_or_default(), "the function panicked");
        }));
        Ok(Self { invocations })
    }

    /// Answers requests of API Gateway and of function URLs, until Lambda stops it.
    ///
    /// # Errors
    /// If Lambda's runtime does not answer.
    #[cfg(feature = "http")]
    pub async fn serve_requests<F>(&self, handle: impl Fn(lambda_http::Request) -> F + Sync) -> Result<(), Error>
    where
        F: Future<Output = lambda_http::Response<lambda_http::Body>> + Send,
    {
        use lambda_http::RequestExt as _;
        let handle = |request: lambda_http::Request| {
            let context = request.lambda_context();
            let work = handle(request);
            async move { Ok::<_, std::convert::Infallible>(self.gather(&context, work).await) }
        };
        lambda_http::run(service_fn(handle)).await
    }

    /// Handles events of other sources, until Lambda stops it.
    ///
    /// # Errors
    /// If Lambda's runtime does not answer.
    pub async fn serve_events<E: DeserializeOwned, A: Serialize>(
        &self,
        handle: impl AsyncFn(LambdaEvent<E>) -> Result<A, Error>,
    ) -> Result<(), Error> {
        let handle = async |event: LambdaEvent<E>| {
            let context = event.context.clone();
            let work = async {
                let answer = handle(event).await;
                if let Err(error) = &answer {
                    tracing::error!(%error, "the invocation failed");
                }
                answer
            };
            self.gather(&context, work).await
        };
        run(service_fn(handle)).await
    }

    /// Does the work of one invocation. What it logs is written before its answer is given, and before Lambda stops it.
    async fn gather<T>(&self, context: &Context, work: impl Future<Output = T>) -> T {
        let invocation = self.invocations.begin(&context.request_id);
        let left = context.deadline.saturating_sub(u64::try_from(SystemClock.now().millis()).unwrap_or_default());
        let mut work = std::pin::pin!(work);
        let in_time = Duration::from_millis(left).saturating_sub(LAST_MOMENT);
        if let Ok(answer) = tokio::time::timeout(in_time, &mut work).await {
            return answer;
        }
        tracing::error!("the time of this invocation is nearly used up");
        invocation.write();
        work.await
    }
}
