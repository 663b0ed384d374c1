//! The `sweep` function on Lambda: environment, clients, handler, run.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use runtime::Services;
use serde_json::Value;
use telemetry::Format;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let services = Services::of_process().await;
    telemetry::init(Format::Json, services.environment.optional("LOG_LEVEL").unwrap_or("info"));
    let sweep = sweep::handler(&services).await?;
    let handle = async |_: LambdaEvent<Value>| Ok::<_, Error>(sweep.run().await?);
    lambda_runtime::run(service_fn(handle)).await
}
