//! The `seal` function on Lambda: environment, clients, handler, run.

use aws_lambda_events::event::dynamodb::Event;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use runtime::Services;
use telemetry::Format;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let services = Services::of_process().await;
    telemetry::init(Format::Json, services.environment.optional("LOG_LEVEL").unwrap_or("info"));
    let seal = seal::handler(&services).await?;
    let handle = async |event: LambdaEvent<Event>| Ok::<_, Error>(seal.handle(event.payload).await);
    lambda_runtime::run(service_fn(handle)).await
}
