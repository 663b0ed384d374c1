//! `/_local/inbox`: a webhook receiver that shows what it received.
//!
//! For newcomers and demonstrations: point an endpoint at it and look. It keeps the last deliveries in memory and
//! says of each whether its signature is right. It accepts everything and proves nothing to the sender.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use clock::{Clock, Timestamp};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::page::{STYLE, escape};
use crate::server::is_asked_here;

/// How many are kept.
const KEPT: usize = 200;
/// The largest body that is accepted.
const MAX_BODY: usize = 1024 * 1024;

/// Says whether the signature in the headers of a received webhook is right for its body.
pub type Verifier = Arc<dyn Fn(HeaderMap, Bytes) -> BoxFuture<'static, bool> + Send + Sync>;

/// The inbox. Cheap to clone; clones share what was received.
#[derive(Clone)]
pub struct Inbox(Arc<Inner>);

struct Inner {
    clock: Clock,
    verifier: RwLock<Option<Verifier>>,
    received: Mutex<VecDeque<Received>>,
}

/// A received webhook.
#[derive(Debug, Clone)]
pub struct Received {
    /// When.
    pub received_at: Timestamp,
    /// The name in the path it was sent to, if any.
    pub name: Option<String>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body, with what is not UTF-8 replaced.
    pub body: String,
    /// Whether its signature is right; `None` when nobody can tell.
    pub verified: Option<bool>,
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        let headers: serde_json::Map<String, Value> =
            self.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        json!({
            "received_at": self.received_at,
            "name": self.name,
            "headers": headers,
            "body": serde_json::from_str::<Value>(&self.body).unwrap_or_else(|_| self.body.as_str().into()),
            "verified": self.verified,
        })
    }
}

impl Inbox {
    pub(crate) fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner { clock, verifier: RwLock::default(), received: Mutex::default() }))
    }

    /// From now on, signatures are judged by `verifier`.
    pub fn verify_with(&self, verifier: Verifier) {
        *self.0.verifier.write().unwrap_or_else(PoisonError::into_inner) = Some(verifier);
    }

    /// What has been received, latest first.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Received>> {
        self.0.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn accept(&self, name: Option<String>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let verifier = self.0.verifier.read().unwrap_or_else(PoisonError::into_inner).clone();
        let received = Received {
            received_at: self.0.clock.now(),
            name,
            headers: headers
                .iter()
                .map(|(name, value)| {
                    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
            verified: match verifier {
                Some(verifier) => Some(verifier(headers, body).await),
                None => None,
            },
        };
        let mut kept = self.lock();
        kept.push_front(received);
        kept.truncate(KEPT);
        StatusCode::NO_CONTENT
    }

    pub(crate) fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route("/_local/inbox", get(list).delete(empty).post(receive))
            .route("/_local/inbox/{name}", post(receive_named))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self.clone())
    }
}

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> StatusCode {
    inbox.accept(None, headers, body).await
}

async fn receive_named(
    State(inbox): State<Inbox>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    inbox.accept(Some(name), headers, body).await
}

async fn empty(State(inbox): State<Inbox>) -> StatusCode {
    inbox.lock().clear();
    StatusCode::NO_CONTENT
}

async fn list(State(inbox): State<Inbox>, headers: HeaderMap) -> Response {
    if !is_asked_here(&headers) {
        return (StatusCode::FORBIDDEN, "The inbox is shown on this machine only.\n").into_response();
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let received = inbox.received();
    if accept.contains("application/json") {
        let data: Vec<Value> = received.iter().map(Received::json).collect();
        return axum::Json(json!({"data": data})).into_response();
    }
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page(&received))).into_response()
}

const HEAD: &str = r#"<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="refresh" content="3">
<title>Webhook inbox · Artisan</title><style>"#;

fn page(received: &[Received]) -> String {
    let mut page = format!("{HEAD}{STYLE}</style></head><body><main><h1>Webhook inbox</h1>");
    if received.is_empty() {
        page.push_str(
            "<p>Nothing yet. Create a webhook endpoint whose URL is this page's address; what is sent to it \
             appears here by itself.</p>",
        );
    } else {
        // Writing to a String cannot fail, here and below.
        let _ =
            write!(page, "<p>{} received, latest first. The page refreshes by itself.</p>", received.len());
    }
    for one in received {
        let event = one.header("x-artisan-event").unwrap_or("(no event)");
        let (class, mark) = match one.verified {
            Some(true) => ("mark ok", "✓ signature verified"),
            Some(false) => ("mark bad", "✗ signature wrong"),
            None => ("mark", "signature not checked"),
        };
        let name = one.name.as_deref().map(|name| format!("<span class=name>/{}</span>", escape(name)));
        let _ = write!(
            page,
            "<article><header><h2>{}</h2>{}<time>{}</time><span class=\"{class}\">{mark}</span></header>",
            escape(event),
            name.unwrap_or_default(),
            one.received_at,
        );
        let pretty = serde_json::from_str::<Value>(&one.body)
            .ok()
            .and_then(|it| serde_json::to_string_pretty(&it).ok());
        let _ = write!(
            page,
            "<pre>{}</pre><details><summary>Headers</summary><pre>",
            escape(pretty.as_deref().unwrap_or(&one.body))
        );
        for (name, value) in &one.headers {
            let _ = writeln!(page, "{}: {}", escape(name), escape(value));
        }
        page.push_str("</pre></details></article>");
    }
    page.push_str("</main></body></html>");
    page
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn send(inbox: &Inbox, request: Request<Body>) -> (StatusCode, String) {
        let response = inbox.router::<()>().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn webhook(path: &str, body: &str) -> Request<Body> {
        Request::post(path)
            .header("X-Artisan-Event", "lead.created")
            .body(Body::from(body.to_owned()))
            .unwrap()
    }

    fn listing(accept: &str) -> Request<Body> {
        Request::get("/_local/inbox").header("accept", accept).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn what_is_received_is_listed_with_its_verdict() {
        let inbox = Inbox::new(Clock::system());
        inbox.verify_with(Arc::new(|_, body| Box::pin(async move { body.starts_with(b"{\"good\"") })));
        assert_eq!(send(&inbox, webhook("/_local/inbox", r#"{"good":1}"#)).await.0, StatusCode::NO_CONTENT);
        assert_eq!(
            send(&inbox, webhook("/_local/inbox/two", r#"{"bad":1}"#)).await.0,
            StatusCode::NO_CONTENT
        );
        let (status, body) = send(&inbox, listing("application/json")).await;
        assert_eq!(status, StatusCode::OK);
        let list: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(list["data"][0]["verified"], false);
        assert_eq!(list["data"][0]["name"], "two");
        assert_eq!(list["data"][1]["verified"], true);
        assert_eq!(list["data"][1]["body"], json!({"good": 1}));
        assert_eq!(list["data"][1]["headers"]["x-artisan-event"], "lead.created");
        let empty = Request::delete("/_local/inbox").body(Body::empty()).unwrap();
        assert_eq!(send(&inbox, empty).await.0, StatusCode::NO_CONTENT);
        assert!(inbox.received().is_empty());
    }

    #[tokio::test]
    async fn the_page_shows_hostile_content_as_text() {
        let inbox = Inbox::new(Clock::system());
        send(&inbox, webhook("/_local/inbox/%3Cb%3E", "<script>alert('1')</script>")).await;
        let (_, page) = send(&inbox, listing("text/html")).await;
        assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)"), "{page}");
        assert!(page.contains("/&lt;b&gt;") && !page.contains("<script>"), "{page}");
    }

    #[tokio::test]
    async fn it_keeps_a_bounded_number_of_bounded_bodies() {
        let inbox = Inbox::new(Clock::system());
        for _ in 0..KEPT + 5 {
            send(&inbox, webhook("/_local/inbox", "{}")).await;
        }
        assert_eq!(inbox.received().len(), KEPT);
        let large = "x".repeat(MAX_BODY + 1);
        assert_eq!(send(&inbox, webhook("/_local/inbox", &large)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
