//! One caller of an HTTP API: a connection that is kept, one request at a time.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A request without an answer in this time has failed.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no answer, or not the one that was needed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No connection.
    #[error("the platform cannot be reached")]
    Connect(#[source] std::io::Error),
    /// The request cannot be written.
    #[error("the request cannot be made")]
    Request(#[from] http::Error),
    /// The exchange broke off.
    #[error("the exchange with the platform broke off")]
    Exchange(#[from] hyper::Error),
    /// It took too long.
    #[error("the platform did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The platform refused.
    #[error("{call} was answered with {status}: {detail}")]
    Refused {
        /// Method and path.
        call: String,
        /// The status.
        status: StatusCode,
        /// What the problem says.
        detail: String,
    },
    /// The answer lacks something.
    #[error("the answer to {call} has no {field}")]
    Incomplete {
        /// Method and path.
        call: String,
        /// What is missing.
        field: &'static str,
    },
}

/// A request to be made.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    path: String,
    token: Option<HeaderValue>,
    idempotency_key: Option<String>,
    body: Bytes,
}

impl Call {
    /// Reads `path`.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            token: None,
            idempotency_key: None,
            body: Bytes::new(),
        }
    }

    /// Posts the JSON text `body` to `path`.
    pub(crate) fn post(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..Self::get(path) }
    }

    /// Changes `path` by the JSON text `body`.
    pub(crate) fn patch(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { method: Method::PATCH, body: body.into(), ..Self::get(path) }
    }

    /// With a session token or an API key.
    pub(crate) fn by(self, token: &Token) -> Self {
        Self { token: Some(token.0.clone()), ..self }
    }

    /// With an `Idempotency-Key`.
    pub(crate) fn once(self, key: String) -> Self {
        Self { idempotency_key: Some(key), ..self }
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What a caller proves who they are with. Prints only its type's name.
#[derive(Clone)]
pub(crate) struct Token(HeaderValue);

impl Token {
    /// A session token or an API key; `None` when no header can hold it.
    pub(crate) fn bearer(secret: &str) -> Option<Self> {
        let mut value = HeaderValue::try_from(format!("Bearer {secret}")).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The body.
    pub(crate) body: Bytes,
}

/// A caller. Connects at the first request, and again when the connection is lost.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A caller of what listens at `address`.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Makes the request and reads the whole answer, whatever it says. A request is made once: if its fate is not
    /// known, that is an error.
    ///
    /// # Errors
    /// [`CallError`] when there is no whole answer.
    pub(crate) async fn send(&mut self, call: Call) -> Result<Answer, CallError> {
        let exchange = tokio::time::timeout(TIMEOUT, self.exchange(call)).await;
        let answer = exchange.unwrap_or(Err(CallError::Timeout));
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    async fn exchange(&mut self, call: Call) -> Result<Answer, CallError> {
        let Call { method, path, token, idempotency_key, body } = call;
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(body))?;
        let response = self.connection().await?.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }

    async fn connection(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, CallError> {
        let kept = match self.connection.take() {
            Some(mut kept) => kept.ready().await.is_ok().then_some(kept),
            None => None,
        };
        let connection = match kept {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        Ok(self.connection.insert(connection))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, CallError> {
        let stream = TcpStream::connect(self.address).await.map_err(CallError::Connect)?;
        stream.set_nodelay(true).map_err(CallError::Connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with its sender; how it ended is told by the request that met it.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// Makes a request that must succeed, and reads the JSON it is answered with.
    ///
    /// # Errors
    /// [`CallError`], with what the platform said when it refused.
    pub(crate) async fn must(&mut self, call: Call) -> Result<Value, CallError> {
        let name = call.name();
        let Answer { status, body } = self.send(call).await?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let detail = ["detail", "title", "message"].iter().find_map(|field| answer.get(field)?.as_str());
        Err(CallError::Refused { call: name, status, detail: detail.unwrap_or_default().to_owned() })
    }

    /// Makes a request that must succeed; one text of its answer.
    ///
    /// # Errors
    /// [`CallError`]
    pub(crate) async fn must_give(&mut self, call: Call, field: &'static str) -> Result<String, CallError> {
        let name = call.name();
        let answer = self.must(call).await?;
        let text = answer.get(field).and_then(Value::as_str).map(str::to_owned);
        text.ok_or(CallError::Incomplete { call: name, field })
    }
}
