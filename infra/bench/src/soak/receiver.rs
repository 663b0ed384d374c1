//! Receivers that fail at random, and know what they have answered.
//!
//! Which attempt fails, and how, follows from the seed, the endpoint, the event and the number of the attempt alone.
//! One delivery fails at random four times at most: each further retry waits twice as long, and nothing would be
//! learned by waiting for it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::sink::number_in;

const MOST_FAILURES: u8 = 4;

/// What is to be received, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) events: usize,
    pub(crate) endpoints: usize,
    /// Attempts of a hundred that fail.
    pub(crate) failing: u64,
    pub(crate) seed: u64,
}

/// The receivers. They stop when this is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    book: Arc<Book>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Book {
    manner: Manner,
    record: Mutex<Record>,
}

/// What has been received and answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    /// By event, then by endpoint.
    deliveries: Vec<Delivery>,
    /// Deliveries answered with a 2xx, each counted once.
    pub(crate) received: usize,
    /// Requests, whatever they were answered with.
    pub(crate) attempts: u64,
    /// Requests answered with a 500.
    pub(crate) errors: u64,
    /// Connections closed without an answer.
    pub(crate) broken_off: u64,
    /// Requests answered with a 429.
    pub(crate) told_to_wait: u64,
    /// Requests about no event that was published.
    pub(crate) unreadable: u64,
    /// When a delivery that came again had been answered with a 2xx before.
    pub(crate) again: Vec<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Delivery {
    attempts: u8,
    answered: Option<Instant>,
}

/// How an attempt is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Received,
    Error,
    BrokenOff,
    Wait,
}

impl Record {
    /// The deliveries that have not been answered with a 2xx: event, endpoint, attempts.
    pub(crate) fn missing(&self, endpoints: usize) -> impl Iterator<Item = (usize, usize, u8)> {
        let missing = self.deliveries.iter().enumerate().filter(|(_, it)| it.answered.is_none());
        missing.map(move |(place, it)| (place / endpoints.max(1), place % endpoints.max(1), it.attempts))
    }
}

impl Manner {
    fn answer(&self, event: usize, endpoint: usize, attempt: u8) -> Answer {
        if attempt > MOST_FAILURES {
            return Answer::Received;
        }
        let place = (event * self.endpoints + endpoint) as u64;
        let random = mixed(self.seed ^ mixed(place ^ (u64::from(attempt) << 48)));
        match (random % 100 < self.failing, (random >> 32) % 20) {
            (false, _) => Answer::Received,
            (true, 0..=11) => Answer::Error,
            (true, 12..=18) => Answer::BrokenOff,
            (true, _) => Answer::Wait,
        }
    }
}

impl Receiver {
    /// Starts listening on a free port of loopback.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn start(manner: Manner) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let deliveries = vec![Delivery::default(); manner.events * manner.endpoints];
        let record = Mutex::new(Record { deliveries, ..Record::default() });
        let book = Arc::new(Book { manner, record });
        let server = tokio::spawn(serve(listener, Arc::clone(&book)));
        Ok(Self { address, book, server })
    }

    /// The URL of an endpoint.
    pub(crate) fn url(&self, endpoint: usize) -> String {
        format!("http://{}/{endpoint}", self.address)
    }

    /// How many deliveries have been answered with a 2xx.
    pub(crate) fn received(&self) -> usize {
        self.book.record().received
    }

    /// Everything so far.
    pub(crate) fn record(&self) -> Record {
        self.book.record().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Book {
    fn record(&self) -> MutexGuard<'_, Record> {
        // Counts are right after every statement, whoever panicked.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, path: &str, body: &[u8]) -> Answer {
        let Manner { endpoints, .. } = self.manner;
        let endpoint =
            path.trim_start_matches('/').parse::<usize>().ok().filter(|endpoint| *endpoint < endpoints);
        let event = number_in(body).and_then(|event| usize::try_from(event).ok());
        let mut record = self.record();
        let record = &mut *record;
        record.attempts += 1;
        let place = event.zip(endpoint);
        let delivery =
            place.and_then(|(event, endpoint)| record.deliveries.get_mut(event * endpoints + endpoint));
        let (Some((event, endpoint)), Some(delivery)) = (place, delivery) else {
            record.unreadable += 1;
            return Answer::Error;
        };
        delivery.attempts = delivery.attempts.saturating_add(1);
        if let Some(before) = delivery.answered {
            record.again.push(before);
            return Answer::Received;
        }
        let answer = self.manner.answer(event, endpoint, delivery.attempts);
        match answer {
            Answer::Received => {
                delivery.answered = Some(Instant::now());
                record.received += 1;
            }
            Answer::Error => record.errors += 1,
            Answer::BrokenOff => record.broken_off += 1,
            Answer::Wait => record.told_to_wait += 1,
        }
        answer
    }
}

/// A number that looks random and follows from `seed` (splitmix64).
pub(crate) fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer, as it was meant to be")]
struct BrokenOff;

async fn serve(listener: TcpListener, book: Arc<Book>) {
    loop {
        // Out of file descriptors, most likely; the sender will come again.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let book = Arc::clone(&book);
        let service = service_fn(move |request| {
            let book = Arc::clone(&book);
            async move { receive(request, &book).await }
        });
        tokio::spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn receive(request: Request<Incoming>, book: &Book) -> Result<Response<Empty<Bytes>>, BrokenOff> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    // The sender broke off: there is nobody to answer.
    let body = body.collect().await.map_err(|_| BrokenOff)?.to_bytes();
    match book.note(head.uri.path(), &body) {
        Answer::Received => {}
        Answer::Error => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        Answer::BrokenOff => return Err(BrokenOff),
        Answer::Wait => {
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Call, Client};
    use crate::sink::email;

    const MANNER: Manner = Manner { events: 1000, endpoints: 10, failing: 20, seed: 7 };

    #[test]
    fn as_many_attempts_fail_as_are_meant_to_and_always_the_same() {
        let answers = |manner: Manner| -> Vec<Answer> {
            let all = (0..manner.events).flat_map(|event| (0..manner.endpoints).map(move |it| (event, it)));
            all.map(|(event, endpoint)| manner.answer(event, endpoint, 1)).collect()
        };
        let first = answers(MANNER);
        let share = |of: Answer| first.iter().filter(|it| **it == of).count() as f64 / first.len() as f64;
        assert!((0.78..0.82).contains(&share(Answer::Received)));
        assert!(share(Answer::Error) > share(Answer::BrokenOff));
        assert!(share(Answer::BrokenOff) > share(Answer::Wait) && share(Answer::Wait) > 0.0);
        assert_eq!(first, answers(MANNER));
        assert_ne!(first, answers(Manner { seed: 8, ..MANNER }));
        assert_eq!(MANNER.answer(0, 0, MOST_FAILURES + 1), Answer::Received);
    }

    #[tokio::test]
    async fn what_has_been_answered_is_known_and_what_comes_again_is_counted() {
        let manner = Manner { events: 2, endpoints: 2, failing: 0, seed: 1 };
        let receiver = Receiver::start(manner).await.unwrap();
        let mut client = Client::new(receiver.address);
        let body = |number| format!(r#"{{"data":{{"email":"{}"}}}}"#, email(number));
        for (path, number) in [("/0", 0), ("/1", 0), ("/0", 0), ("/1", 1), ("/2", 1), ("/0", 2)] {
            client.send(Call::post(path, body(number))).await.unwrap();
        }
        let record = receiver.record();
        assert_eq!((record.received, record.again.len(), record.unreadable), (3, 1, 2));
        assert_eq!(record.missing(2).collect::<Vec<_>>(), [(1, 0, 0)]);
    }

    #[tokio::test]
    async fn a_connection_can_be_closed_without_an_answer() {
        let manner = Manner { events: 200, endpoints: 1, failing: 90, seed: 3 };
        let event = (0..200).find(|event| manner.answer(*event, 0, 1) == Answer::BrokenOff).unwrap();
        let receiver = Receiver::start(manner).await.unwrap();
        let body = format!(r#"{{"data":{{"email":"{}"}}}}"#, email(event as u64));
        let answer = Client::new(receiver.address).send(Call::post("/0", body)).await;
        assert!(answer.is_err());
        assert_eq!(receiver.record().broken_off, 1);
    }
}
