//! `/_local/mail`: the mails that functions sent, shown instead of sent.
//!
//! SES puts them here. It keeps the last ones in memory, newest first, as a page for people and as JSON for scripts.
//! Nothing ever leaves this machine by mail. Mails hold tokens: a web page that reaches this one under another name
//! (DNS rebinding) is shown nothing.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use clock::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::page::{STYLE, escape};
use crate::server::is_asked_here;

/// How many are kept.
const KEPT: usize = 200;

/// The mailbox. Cheap to clone; clones share what came in.
#[derive(Clone)]
pub struct Mailbox(Arc<Inner>);

struct Inner {
    clock: Clock,
    received: Mutex<VecDeque<Received>>,
}

/// A mail that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// When.
    pub received_at: Timestamp,
    /// To whom; several addresses are separated by commas.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The plain text.
    pub text: String,
}

impl Received {
    fn json(&self) -> Value {
        json!({
            "to": self.to,
            "subject": self.subject,
            "text": self.text,
            "received_at": self.received_at,
        })
    }
}

impl Mailbox {
    pub(crate) fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner { clock, received: Mutex::default() }))
    }

    /// What has come in, latest first.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.lock().iter().cloned().collect()
    }

    pub(crate) fn accept(&self, to: String, subject: String, text: String) {
        let received = Received { received_at: self.0.clock.now(), to, subject, text };
        let mut kept = self.lock();
        kept.push_front(received);
        kept.truncate(KEPT);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Received>> {
        self.0.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new().route("/_local/mail", get(list).delete(empty)).with_state(self.clone())
    }
}

async fn empty(State(mailbox): State<Mailbox>) -> StatusCode {
    mailbox.lock().clear();
    StatusCode::NO_CONTENT
}

async fn list(State(mailbox): State<Mailbox>, headers: HeaderMap) -> Response {
    if !is_asked_here(&headers) {
        return (StatusCode::FORBIDDEN, "The mailbox is shown on this machine only.\n").into_response();
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let received = mailbox.received();
    if accept.contains("application/json") {
        let data: Vec<Value> = received.iter().map(Received::json).collect();
        return axum::Json(json!({"data": data})).into_response();
    }
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
    // Links hold tokens: where they lead is not to learn which page they were on.
    let headers = [(header::CONTENT_SECURITY_POLICY, policy), (header::REFERRER_POLICY, "no-referrer")];
    (headers, Html(page(&received))).into_response()
}

const HEAD: &str = r#"<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="refresh" content="3">
<title>Mailbox · Artisan</title><style>"#;

fn page(received: &[Received]) -> String {
    let mut page = format!("{HEAD}{STYLE}</style></head><body><main><h1>Mailbox</h1>");
    if received.is_empty() {
        page.push_str("<p>Nothing yet. Mails that Artisan would send appear here by themselves.</p>");
    } else {
        // Writing to a String cannot fail, here and below.
        let _ =
            write!(page, "<p>{} received, latest first. The page refreshes by itself.</p>", received.len());
    }
    for mail in received {
        let _ = write!(
            page,
            "<article><header><h2>{}</h2><span class=name>to {}</span><time>{}</time></header><pre>{}</pre></article>",
            escape(&mail.subject),
            escape(&mail.to),
            mail.received_at,
            with_links(&mail.text),
        );
    }
    page.push_str("</main></body></html>");
    page
}

/// The text, escaped, with its web addresses as links.
fn with_links(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let address = word.trim_end();
        if address.starts_with("https://") || address.starts_with("http://") {
            let space = escape(word.get(address.len()..).unwrap_or_default());
            let address = escape(address);
            let _ = write!(html, "<a href=\"{address}\" rel=noreferrer>{address}</a>{space}");
        } else {
            html.push_str(&escape(word));
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    fn mailbox(mails: &[(&str, &str, &str)]) -> Mailbox {
        let mailbox = Mailbox::new(Clock::manual(clock::utc(2026, 11, 22, 15, 4)).0);
        for (to, subject, text) in mails {
            mailbox.accept((*to).to_owned(), (*subject).to_owned(), (*text).to_owned());
        }
        mailbox
    }

    async fn listing(mailbox: &Mailbox, accept: &str) -> String {
        let request = Request::get("/_local/mail").header("accept", accept).body(Body::empty()).unwrap();
        let response = mailbox.router::<()>().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"].to_str().unwrap().split(';').next().unwrap(), accept);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn mails_are_listed_newest_first() {
        let mailbox = mailbox(&[("a@example.com", "One", "1"), ("b@example.com", "Two", "2")]);
        let list: Value = serde_json::from_str(&listing(&mailbox, "application/json").await).unwrap();
        let newest = json!({
            "to": "b@example.com", "subject": "Two", "text": "2", "received_at": "2026-11-22T15:04:00.000Z",
        });
        assert_eq!(list["data"][0], newest);
        assert_eq!(list["data"].as_array().unwrap().len(), 2);
        let delete = Request::delete("/_local/mail").body(Body::empty()).unwrap();
        let response = mailbox.router::<()>().oneshot(delete).await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert!(mailbox.received().is_empty());
        assert!(listing(&mailbox, "text/html").await.contains("Nothing yet"));
    }

    #[tokio::test]
    async fn links_can_be_clicked_and_everything_else_is_text() {
        let text = "Open\n\nhttps://x.example/?token=a&b=\"><script>\n\n<b>javascript:alert(1)</b>";
        let mailbox = mailbox(&[("<i>a@example.com", "<script>", text)]);
        let page = listing(&mailbox, "text/html").await;
        let address = "https://x.example/?token=a&amp;b=&quot;&gt;&lt;script&gt;";
        assert!(page.contains(&format!("<a href=\"{address}\" rel=noreferrer>{address}</a>\n\n")), "{page}");
        assert!(
            page.contains("&lt;b&gt;javascript:alert(1)&lt;/b&gt;") && page.contains("to &lt;i&gt;a@"),
            "{page}"
        );
        assert!(!page.contains("<script>"), "{page}");
    }

    #[tokio::test]
    async fn under_another_name_nothing_is_shown() {
        let mailbox = mailbox(&[("a@example.com", "s", "t")]);
        for (host, expected) in [
            ("localhost:8000", StatusCode::OK),
            ("127.0.0.1", StatusCode::OK),
            ("rebound.example:8000", StatusCode::FORBIDDEN),
        ] {
            let request = Request::get("/_local/mail").header("host", host).body(Body::empty()).unwrap();
            let response = mailbox.router::<()>().oneshot(request).await.unwrap();
            assert_eq!(response.status(), expected, "{host}");
        }
    }

    #[test]
    fn it_keeps_a_bounded_number() {
        let mailbox = mailbox(&[("a@example.com", "s", "t"); KEPT + 5]);
        assert_eq!(mailbox.received().len(), KEPT);
    }
}
