//! A Lambda function that does nothing: what `make starts` compares the others to.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: LambdaEvent<String>| Ok::<_, Error>(()))).await
}
