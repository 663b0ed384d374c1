//! The console by itself, for working on its pages: `cargo run` in one terminal, and in another one
//!
//! ```text
//! set -a; . <(curl --silent http://localhost:8000/_local/environment); set +a
//! cargo run --package console --example serve
//! ```
//!
//! It is at http://localhost:8090/console then (`CONSOLE_PORT` says another port), over the running platform's API and data,
//! and only this one program is built anew when a page has changed.

use aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use lambda_http::request::RequestContext;
use runtime::Services;
use telemetry::Format;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let services = Services::of_process().await;
    telemetry::init(Format::Text, services.environment.optional("LOG_LEVEL").unwrap_or("warn"));
    let port: u16 = services.environment.parsed("CONSOLE_PORT", 8090)?;
    let router = console::router(&services).await?.layer(from_fn(from_here));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let router = TowerToHyperService::new(router);
    loop {
        let (stream, _) = listener.accept().await?;
        let answered = http1::Builder::new().serve_connection(TokioIo::new(stream), router.clone());
        tokio::spawn(async move {
            if let Err(error) = answered.await {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
}

/// What the gateway says of where a request comes from.
async fn from_here(mut request: Request, next: Next) -> axum::response::Response {
    let mut context = ApiGatewayV2httpRequestContext::default();
    context.http.source_ip = Some("127.0.0.1".to_owned());
    request.extensions_mut().insert(RequestContext::ApiGatewayV2(context));
    next.run(request).await
}
