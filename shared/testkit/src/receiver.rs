//! A receiver of webhooks: a real HTTP server on loopback; and a port there at which nobody is.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use artisan_local::server;
use artisan_local::shutdown::{self, Trigger};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::net::{TcpListener, TcpSocket};

/// A webhook that came in.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Webhook {
    /// A header, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

type Answer = Arc<dyn Fn(usize) -> Pin<Box<dyn Future<Output = Response> + Send>> + Send + Sync>;

/// Receives webhooks and answers each as its number (0 for the first) calls for.
pub struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<Webhook>>>,
    _stop: Trigger,
}

impl Receiver {
    /// A receiver that takes everything.
    pub async fn start() -> Self {
        Self::answering(|_| 204).await
    }

    /// A receiver that answers with the status it is told.
    pub async fn answering(answer: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Self {
        Self::replying(move |number| {
            let status = StatusCode::from_u16(answer(number)).expect("a status");
            async move { status }
        })
        .await
    }

    /// A receiver that answers as told, headers, body and all, and takes its time if that is what it is told.
    pub async fn replying<F, R>(answer: impl Fn(usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("it has an address"));
        let received: Arc<Mutex<Vec<Webhook>>> = Arc::default();
        let answer: Answer = Arc::new(move |number| {
            let answering = answer(number);
            Box::pin(async move { answering.await.into_response() })
        });
        let router = Router::new().route("/hook", post(take)).with_state((Arc::clone(&received), answer));
        let (stop, stopped) = shutdown::channel();
        tokio::spawn(server::serve(listener, router, stopped));
        Self { url, received, _stop: stop }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What has come in, first to last.
    #[must_use]
    pub fn received(&self) -> Vec<Webhook> {
        self.received.lock().expect("nobody panicked").clone()
    }
}

/// A port that refuses connections: held for as long as this lives, so that nobody else comes to listen there.
pub struct ClosedPort(TcpSocket);

impl ClosedPort {
    /// Any that was free.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn any() -> Self {
        let socket = TcpSocket::new_v4().expect("there is a socket");
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("there is a free port");
        Self(socket)
    }

    /// Where nobody answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.0.local_addr().expect("it has an address"))
    }
}

async fn take(
    State((received, answer)): State<(Arc<Mutex<Vec<Webhook>>>, Answer)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let number = {
        let mut received = received.lock().expect("nobody panicked");
        received.push(Webhook { headers, body });
        received.len() - 1
    };
    answer(number).await
}
