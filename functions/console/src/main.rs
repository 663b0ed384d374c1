//! The `console` function on Lambda: environment, clients, router, run.

use lambda_http::Error;
use runtime::Services;
use telemetry::Format;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let services = Services::of_process().await;
    telemetry::init(Format::Json, services.environment.optional("LOG_LEVEL").unwrap_or("info"));
    lambda_http::run(console::router(&services).await?).await
}
