//! The receiver: an HTTP server on loopback that notes what arrives and when, and answers 204 at once.
//!
//! An event is known by the number that its publisher put into the lead's e-mail address, so that the receipt can be
//! set against the moment it was published. What arrives twice at the same endpoint counts as a duplicate, whatever
//! `webhook-id` it bears. One path never answers, for endpoints that hang.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::progress::Counter;

const RECEIVING: &str = "/receive/";
const HANGING: &str = "/hang/";
const DOMAIN: &str = "@bench.example";

/// The receiver. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    receipts: Arc<Receipts>,
    server: JoinHandle<()>,
}

/// What has arrived.
#[derive(Debug, Default)]
struct Receipts {
    first: Mutex<HashMap<(u32, u64), Instant>>,
    arrived: Counter,
    duplicates: Counter,
    unreadable: Counter,
}

/// What had arrived at one moment.
#[derive(Debug, Default, Clone)]
pub(crate) struct Arrivals {
    /// When each event, by its number, first arrived at each endpoint, by its number.
    pub(crate) first: HashMap<(u32, u64), Instant>,
    /// Arrivals of what had arrived there before.
    pub(crate) duplicates: u64,
    /// Arrivals that could not be read.
    pub(crate) unreadable: u64,
}

#[derive(Deserialize)]
struct Webhook<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    email: &'a str,
}

/// The e-mail address that carries an event's number.
pub(crate) fn email(number: u64) -> String {
    format!("lead-{number}{DOMAIN}")
}

/// The number of the event that a webhook is about.
pub(crate) fn number_in(body: &[u8]) -> Option<u64> {
    let webhook: Webhook<'_> = serde_json::from_slice(body).ok()?;
    webhook.data.email.strip_prefix("lead-")?.strip_suffix(DOMAIN)?.parse().ok()
}

impl Sink {
    /// Starts listening on a free port of loopback.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let receipts = Arc::new(Receipts::default());
        let server = tokio::spawn(serve(listener, Arc::clone(&receipts)));
        Ok(Self { address, receipts, server })
    }

    /// The URL of an endpoint that answers.
    pub(crate) fn url(&self, endpoint: u32) -> String {
        format!("http://{}{RECEIVING}{endpoint}", self.address)
    }

    /// The URL of an endpoint that never does.
    pub(crate) fn hanging_url(&self, endpoint: u32) -> String {
        format!("http://{}{HANGING}{endpoint}", self.address)
    }

    /// How many have arrived, duplicates left out.
    pub(crate) fn arrived(&self) -> &Counter {
        &self.receipts.arrived
    }

    /// Everything that has arrived since the last time, and begins anew.
    pub(crate) fn take(&self) -> Arrivals {
        let Receipts { arrived, duplicates, unreadable, .. } = &*self.receipts;
        let mut first = self.receipts.first();
        let taken = Arrivals {
            first: std::mem::take(&mut *first),
            duplicates: duplicates.get(),
            unreadable: unreadable.get(),
        };
        for counter in [arrived, duplicates, unreadable] {
            counter.clear();
        }
        taken
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receipts {
    fn first(&self) -> MutexGuard<'_, HashMap<(u32, u64), Instant>> {
        // Every statement leaves the map whole, whoever panicked.
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, endpoint: u32, number: Option<u64>, at: Instant) {
        let Some(number) = number else { return self.unreadable.add() };
        let mut first = self.first();
        if let std::collections::hash_map::Entry::Vacant(new) = first.entry((endpoint, number)) {
            new.insert(at);
            self.arrived.add();
        } else {
            self.duplicates.add();
        }
    }
}

async fn serve(listener: TcpListener, receipts: Arc<Receipts>) {
    loop {
        // Out of file descriptors, most likely; the sender will come again.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let receipts = Arc::clone(&receipts);
        let service = service_fn(move |request| {
            let receipts = Arc::clone(&receipts);
            async move { receive(request, &receipts).await }
        });
        tokio::spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn receive(
    request: Request<Incoming>,
    receipts: &Receipts,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let status = match body.collect().await {
        Err(_) => StatusCode::BAD_REQUEST,
        Ok(body) => {
            let at = Instant::now();
            let path = head.uri.path();
            if path.starts_with(HANGING) {
                return std::future::pending().await;
            }
            match path.strip_prefix(RECEIVING).and_then(|endpoint| endpoint.parse().ok()) {
                Some(endpoint) => {
                    receipts.note(endpoint, number_in(&body.to_bytes()), at);
                    StatusCode::NO_CONTENT
                }
                None => StatusCode::NOT_FOUND,
            }
        }
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Call, Client};

    fn webhook(number: u64) -> String {
        format!(
            r#"{{"id":"evt_1","event":"lead.created","data":{{"id":"x","email":"{}","custom":{{}}}}}}"#,
            email(number)
        )
    }

    #[test]
    fn an_events_number_is_read_from_its_body() {
        assert_eq!(number_in(webhook(17).as_bytes()), Some(17));
        assert_eq!(number_in(br#"{"data":{"email":"ada@example.com"}}"#), None);
        assert_eq!(number_in(b"junk"), None);
    }

    #[tokio::test]
    async fn what_arrives_is_noted_once_per_endpoint() {
        let sink = Sink::start().await.unwrap();
        let mut client = Client::new(sink.address);
        for (endpoint, body) in
            [(1, webhook(1)), (2, webhook(1)), (1, webhook(2)), (1, webhook(1)), (1, "junk".to_owned())]
        {
            let answer = client.send(Call::post(format!("{RECEIVING}{endpoint}"), body)).await.unwrap();
            assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0));
        }
        assert_eq!(sink.arrived().get(), 3);
        let arrivals = sink.take();
        let mut keys: Vec<_> = arrivals.first.keys().copied().collect();
        keys.sort_unstable();
        assert_eq!(keys, [(1, 1), (1, 2), (2, 1)]);
        assert_eq!((arrivals.duplicates, arrivals.unreadable), (1, 1));
        let nothing = sink.take();
        assert!(nothing.first.is_empty() && nothing.duplicates == 0);
    }
}
