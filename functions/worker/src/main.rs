//! The `worker` function on Lambda: environment, clients, handler, run.

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use runtime::Services;
use telemetry::Format;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let services = Services::of_process().await;
    telemetry::init(Format::Json, services.environment.optional("LOG_LEVEL").unwrap_or("info"));
    let worker = worker::handler(&services).await?;
    let handle = async |event: LambdaEvent<SqsEvent>| Ok::<_, Error>(worker.handle(event.payload).await);
    lambda_runtime::run(service_fn(handle)).await
}
