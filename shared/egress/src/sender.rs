//! The sender: one request, bounded in every direction.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;

use crate::{Policy, Target};

/// How much of an answer is read and kept.
const KEPT: usize = 4096;
/// Idle connections are dropped before a receiver's usual keep-alive runs out, and before a frozen function thaws
/// to find them dead.
const IDLE: Duration = Duration::from_secs(4);

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The first 4 KiB of the body, as text.
    pub body: String,
    /// The `Retry-After` header, when it is a number of seconds.
    pub retry_after: Option<Duration>,
}

/// Why there was no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The deadline passed.
    #[error("it took too long")]
    Timeout,
    /// The name could not be resolved.
    #[error("the name cannot be resolved")]
    Dns,
    /// The name resolved to an address we never send to.
    #[error("the name resolves to an address that is not sent to")]
    ForbiddenAddress,
    /// No connection could be made.
    #[error("no connection could be made")]
    Connect,
    /// TLS failed.
    #[error("TLS failed")]
    Tls,
    /// The connection broke, or what came was not HTTP.
    #[error("the connection broke, or it was not HTTP")]
    Protocol,
}

/// What became of a POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The answer, or why there is none.
    pub result: Result<Answer, Failure>,
    /// How long it took.
    pub duration: Duration,
}

/// Posts webhooks and [fetches](Sender::fetch) documents. Cheap to clone; connections are shared.
#[derive(Debug, Clone)]
pub struct Sender {
    client: reqwest::Client,
    policy: Policy,
}

impl Sender {
    /// A sender that keeps to `policy`.
    ///
    /// # Errors
    /// When TLS can't be set up, for want of root certificates.
    pub fn new(policy: Policy) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let client = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("Artisan-Webhooks/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Resolver(policy))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(8)
            .tcp_nodelay(true)
            .http1_only()
            .build()?;
        Ok(Self { client, policy })
    }

    /// The policy it keeps to.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Posts `body`, and is done by `deadline` whatever the receiver does.
    pub async fn post(
        &self,
        target: &Target,
        headers: HeaderMap,
        body: Bytes,
        deadline: Duration,
    ) -> Outcome {
        let started = Instant::now();
        let exchange = self.exchange(target, headers, body);
        let result = tokio::time::timeout(deadline, exchange).await.unwrap_or(Err(Failure::Timeout));
        Outcome { result, duration: started.elapsed() }
    }

    /// Sends a request and gives the head of the answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: &Target,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<reqwest::Response, Failure> {
        let mut request = self.client.request(method, target.url().clone()).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        request.send().await.map_err(|error| Failure::of(&error))
    }

    async fn exchange(&self, target: &Target, headers: HeaderMap, body: Bytes) -> Result<Answer, Failure> {
        let mut response = self.send(Method::POST, target, headers, Some(body)).await?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(http::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut kept = Vec::new();
        // A body that breaks off says nothing about whether the event was taken: the status has been given.
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = KEPT.saturating_sub(kept.len());
            kept.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if kept.len() >= KEPT {
                break;
            }
        }
        Ok(Answer { status, body: String::from_utf8_lossy(&kept).into_owned(), retry_after })
    }
}

#[derive(Debug, thiserror::Error)]
enum ResolveError {
    #[error("the name resolves to an address that is not sent to")]
    Forbidden,
    #[error("the name cannot be resolved")]
    Unresolved,
}

/// Resolves names to addresses that have been judged: all of them, or none.
struct Resolver(Policy);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            let found =
                tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|_| ResolveError::Unresolved)?;
            let addresses: Vec<SocketAddr> = found.collect();
            if addresses.is_empty() {
                return Err(ResolveError::Unresolved.into());
            }
            if !addresses.iter().all(|address| policy.permits(address.ip())) {
                return Err(ResolveError::Forbidden.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// An `io::Error` shows the cause of what it wraps as its own, so what it wraps has to be asked for.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| is_tls(wrapped))
}

impl Failure {
    /// What an error of the HTTP client comes down to.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<ResolveError>() {
                return match error {
                    ResolveError::Forbidden => Self::ForbiddenAddress,
                    ResolveError::Unresolved => Self::Dns,
                };
            }
            if is_tls(error) {
                return Self::Tls;
            }
            cause = error.source();
        }
        match error {
            _ if error.is_timeout() => Self::Timeout,
            _ if error.is_connect() => Self::Connect,
            _ => Self::Protocol,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    pub(crate) const LOCAL: Policy = Policy { allow_loopback: true };

    /// A receiver that answers whatever `answer` is, then hangs or hangs up.
    pub(crate) async fn receiver(answer: Vec<u8>, hang: bool) -> String {
        listening(answer, hang).await.0
    }

    /// A receiver, and what it was sent.
    pub(crate) async fn listening(answer: Vec<u8>, hang: bool) -> (String, mpsc::UnboundedReceiver<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (tell, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (answer, tell) = (answer.clone(), tell.clone());
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !is_whole(&request) && socket.read_buf(&mut request).await.unwrap_or(0) > 0 {}
                    let _ = tell.send(request);
                    let _ = socket.write_all(&answer).await;
                    if hang {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        (url, heard)
    }

    /// Whether all of a request has come. What is not HTTP is answered at once.
    fn is_whole(request: &[u8]) -> bool {
        if request.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
            return true;
        }
        let request = String::from_utf8_lossy(request).to_lowercase();
        let length = |head: &str| head.split_once("content-length: ")?.1.lines().next()?.parse().ok();
        request.split_once("\r\n\r\n").is_some_and(|(head, body)| body.len() >= length(head).unwrap_or(0))
    }

    async fn post(url: &str, policy: Policy, deadline: Duration) -> Result<Answer, Failure> {
        let target = Target::parse(url, LOCAL).unwrap();
        let sender = Sender::new(policy).unwrap();
        sender.post(&target, HeaderMap::new(), Bytes::from_static(b"{}"), deadline).await.result
    }

    pub(crate) const LONG: Duration = Duration::from_secs(20);
    pub(crate) const SHORT: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn an_answer_is_kept_up_to_four_kibibytes() {
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\nretry-after: 7\r\n\r\n".to_vec();
        answer.extend(vec![b'x'; 100_000]);
        let got = post(&receiver(answer, false).await, LOCAL, LONG).await.unwrap();
        assert_eq!((got.status, got.body.len(), got.retry_after), (200, 4096, Some(Duration::from_secs(7))));
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_not_followed() {
        let answer =
            b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n".to_vec();
        assert_eq!(post(&receiver(answer, false).await, LOCAL, LONG).await.unwrap().status, 302);
    }

    #[tokio::test]
    async fn a_receiver_that_hangs_is_left_at_the_deadline() {
        let silent = receiver(Vec::new(), true).await;
        assert_eq!(post(&silent, LOCAL, SHORT).await, Err(Failure::Timeout));
        let endless =
            receiver(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n".to_vec(), true).await;
        assert_eq!(post(&endless, LOCAL, SHORT).await, Err(Failure::Timeout));
    }

    #[tokio::test]
    async fn what_is_not_http_or_not_there_has_its_own_name() {
        assert_eq!(
            post(&receiver(b"SSH-2.0-x\r\n".to_vec(), false).await, LOCAL, LONG).await,
            Err(Failure::Protocol)
        );
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(post(&format!("http://{closed}/"), LOCAL, LONG).await, Err(Failure::Connect));
        let plain = receiver(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), false).await.replace("http://", "https://");
        assert_eq!(post(&plain, LOCAL, LONG).await, Err(Failure::Tls));
    }

    /// A name that passes when it is saved and points inward when it is dialled.
    #[tokio::test]
    async fn a_name_is_judged_by_what_it_resolves_to_when_it_is_dialled() {
        let strict = Policy { allow_loopback: false };
        assert_eq!(post("http://localhost:9999/", strict, LONG).await, Err(Failure::ForbiddenAddress));
    }
}
