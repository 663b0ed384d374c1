//! The sender: one request, bounded in every direction.
//!
//! **The threat.** A receiver that never answers, answers for ever, breaks off, or is not who it says it is; and a
//! connection that outlives the reason why it was allowed.
//!
//! **The answer.** One deadline ends an attempt wherever it is, and with it the look-up, the connection and the
//! reading that belong to it. One attempt is one request: nothing is sent again, no redirect followed, no proxy used,
//! nothing decompressed. TLS certificates are always verified.
//!
//! A connection stays with the address it was judged for, so an idle one can be used again: it does not matter where
//! its name points by now, and nothing is asked. It is dropped after four idle seconds. A new connection is a new
//! judgement.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method};
use reqwest::{ClientBuilder, redirect, retry};

use crate::answer::{self, Answer, KEPT};
use crate::resolve::{Judging, ResolveError};
use crate::{Policy, Target};

type BoxError = Box<dyn Error + Send + Sync>;

/// How much of a body is read, so that an ordinary receiver's connection can be used again.
const READ: usize = 64 * 1024;
/// Room for the rest of the last character that is kept.
const SPARE: usize = 3;
/// Idle connections are dropped before a receiver's usual keep-alive runs out, and before a frozen function thaws
/// to find them dead.
const IDLE: Duration = Duration::from_secs(4);
/// A connection that is still being made when its attempt got another one ends with the longest deadline.
const LONGEST_CONNECT: Duration = Duration::from_secs(30);

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
    /// The connection broke before the answer was whole.
    #[error("the connection broke before the answer was whole")]
    Reset,
    /// The answer is longer than is read of one: its head, or its body.
    #[error("the answer is longer than is read of one")]
    ResponseTooLarge,
    /// What came was not HTTP.
    #[error("what came was not HTTP")]
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
    /// A sender that keeps to `policy` and asks the DNS servers of the system's configuration. Where there is none it
    /// reaches addresses and loopback; every other name fails with [`Failure::Dns`].
    ///
    /// # Errors
    /// When TLS can't be set up, for want of root certificates.
    pub fn new(policy: Policy) -> Result<Self, BoxError> {
        Self::with_dns(policy, None)
    }

    /// The same, asking the DNS server at `server` (`ip:port`, as in the variable `DNS_RESOLVER`) where one is given.
    ///
    /// # Errors
    /// When `server` is not such an address, or TLS can't be set up.
    pub fn with_dns(policy: Policy, server: Option<&str>) -> Result<Self, BoxError> {
        Self::build(policy, server, reqwest::Client::builder())
    }

    /// The same, trusting the authority with this certificate (DER) besides those of the system. There is no way to
    /// trust everybody.
    ///
    /// # Errors
    /// As above, or when it is not a certificate.
    pub fn trusting(policy: Policy, server: Option<&str>, authority: &[u8]) -> Result<Self, BoxError> {
        let authority = reqwest::Certificate::from_der(authority)?;
        Self::build(policy, server, reqwest::Client::builder().tls_certs_merge([authority]))
    }

    fn build(policy: Policy, server: Option<&str>, client: ClientBuilder) -> Result<Self, BoxError> {
        let resolver = match dns::Resolver::new(server) {
            Ok(resolver) => Some(resolver),
            Err(error) if server.is_some() => return Err(error.into()),
            Err(_) => None,
        };
        let client = client
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            // These come with features that another crate may ask for.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .referer(false)
            .user_agent(concat!("Artisan-Webhooks/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Judging { policy, resolver })
            .connect_timeout(LONGEST_CONNECT)
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
        // A host that is an address is dialled without being resolved.
        if !target.is_permitted(self.policy) {
            return Err(Failure::ForbiddenAddress);
        }
        let mut request = self.client.request(method, target.url().clone()).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        request.send().await.map_err(|error| Failure::of(&error))
    }

    async fn exchange(&self, target: &Target, headers: HeaderMap, body: Bytes) -> Result<Answer, Failure> {
        let mut response = self.send(Method::POST, target, headers, Some(body)).await?;
        let status = response.status().as_u16();
        let retry_after = answer::retry_after(response.headers(), SystemTime::now());
        let (beginning, cut_short) = read(&mut response).await;
        Ok(Answer { status, body: answer::text(&beginning), cut_short, retry_after })
    }
}

/// Reads a body, the whole of a short one, and gives its beginning; and why it was not read to its end, which says
/// nothing about whether the event was taken: the status has been given.
async fn read(response: &mut reqwest::Response) -> (Vec<u8>, Option<Failure>) {
    let longer = response.content_length().is_some_and(|length| length > READ as u64);
    // One that says that it is too long is not read for the connection's sake.
    let limit = if longer { KEPT + SPARE } else { READ };
    let (mut beginning, mut length) = (Vec::new(), 0);
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return (beginning, None),
            Err(error) => return (beginning, Some(Failure::of(&error))),
        };
        let room = (KEPT + SPARE).saturating_sub(beginning.len());
        beginning.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        length += chunk.len();
        if length > limit {
            return (beginning, Some(Failure::ResponseTooLarge));
        }
    }
}

impl Failure {
    /// What an error of the HTTP client comes down to.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        let mut broke = false;
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
            if error.downcast_ref().is_some_and(hyper::Error::is_parse_too_large) {
                return Self::ResponseTooLarge;
            }
            broke |= is_break(error);
            cause = error.source();
        }
        match error {
            _ if error.is_timeout() => Self::Timeout,
            _ if error.is_connect() => Self::Connect,
            _ if broke => Self::Reset,
            _ => Self::Protocol,
        }
    }
}

/// An `io::Error` shows the cause of what it wraps as its own, so what it wraps has to be asked for.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| is_tls(wrapped))
}

/// Whether the connection ended while there was more to come.
fn is_break(error: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let ended = |kind| matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof);
    error.downcast_ref().is_some_and(hyper::Error::is_incomplete_message)
        || error.downcast_ref().is_some_and(|error: &io::Error| ended(error.kind()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpSocket};
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
        assert_eq!(got.cut_short, Some(Failure::ResponseTooLarge));
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
        // Held, and not listened on.
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}/", closed.local_addr().unwrap());
        assert_eq!(post(&url, LOCAL, LONG).await, Err(Failure::Connect));
        let plain = receiver(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), false).await.replace("http://", "https://");
        assert_eq!(post(&plain, LOCAL, LONG).await, Err(Failure::Tls));
    }

    /// A name that passes when it is saved and points inward when it is dialled.
    #[tokio::test]
    async fn a_name_is_judged_by_what_it_resolves_to_when_it_is_dialled() {
        let strict = Policy { allow_loopback: false };
        assert_eq!(post("http://localhost:9999/", strict, LONG).await, Err(Failure::ForbiddenAddress));
    }

    /// An address is judged by the sender, too, whoever made a target of it.
    #[tokio::test]
    async fn an_address_is_judged_by_the_sender_s_own_policy() {
        let strict = Policy { allow_loopback: false };
        for url in ["http://127.0.0.1:9999/", "http://[::1]:9999/"] {
            assert_eq!(post(url, strict, LONG).await, Err(Failure::ForbiddenAddress), "{url}");
        }
    }
}
