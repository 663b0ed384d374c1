//! Lambda's runtime API for one process, on a free port of loopback: what a bootstrap asks for events and gives answers to.
//!
//! Of that API it has what functions use: the next event, an answer, an error, and that the start failed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use artisan_local::server;
use artisan_local::shutdown::{self, Trigger};
use artisan_local::template::{ACCOUNT, REGION};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

const VERSION: &str = "/2018-06-01/runtime";
/// What a function is told it has for an event.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a process has done, and when.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It is ready for an event.
    Ready(Instant),
    /// It has answered one.
    Answer(Instant, Value),
    /// It has failed, at its start or with an event.
    Failure(String),
}

/// The API. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    /// Where it is.
    pub(crate) address: SocketAddr,
    heard: mpsc::UnboundedReceiver<Heard>,
    events: mpsc::UnboundedSender<String>,
    _trigger: Trigger,
}

struct Shared {
    heard: mpsc::UnboundedSender<Heard>,
    events: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl RuntimeApi {
    /// Opens one.
    ///
    /// # Errors
    /// When there is no port.
    pub(crate) async fn open() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (tell, heard) = mpsc::unbounded_channel();
        let (events, given) = mpsc::unbounded_channel();
        let (trigger, shutdown) = shutdown::channel();
        let shared = Arc::new(Shared { heard: tell, events: Mutex::new(given) });
        tokio::spawn(server::serve(listener, router(shared), shutdown));
        Ok(Self { address, heard, events, _trigger: trigger })
    }

    /// Gives the process an event, which it takes when it asks for one.
    pub(crate) fn give(&self, event: String) {
        // It fails only when nobody serves any more, and then nothing is heard, either.
        let _ = self.events.send(event);
    }

    /// What the process does next; `None` when nobody serves any more.
    pub(crate) async fn heard(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(&format!("{VERSION}/invocation/next"), get(next))
        .route(&format!("{VERSION}/invocation/{{id}}/response"), post(answer))
        .route(&format!("{VERSION}/invocation/{{id}}/error"), post(failure))
        .route(&format!("{VERSION}/init/error"), post(failure))
        .with_state(shared)
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let _ = shared.heard.send(Heard::Ready(Instant::now()));
    let Some(event) = shared.events.lock().await.recv().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + DEADLINE;
    let headers = [
        (header::CONTENT_TYPE.as_str(), "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:measured"),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-6921d3a5-0000001f2e3d4c5b6a79881a;Parent=53995c3f42cd8ad8;Sampled=0".to_owned(),
        ),
    ];
    (headers, event).into_response()
}

async fn answer(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let answer = serde_json::from_slice(&body).unwrap_or_default();
    let _ = shared.heard.send(Heard::Answer(Instant::now(), answer));
    StatusCode::ACCEPTED
}

async fn failure(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    let _ = shared.heard.send(Heard::Failure(String::from_utf8_lossy(&body).into_owned()));
    StatusCode::ACCEPTED
}
