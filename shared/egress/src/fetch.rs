//! Fetching a document whole, or not at all.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::Target;
use crate::sender::{Failure, Sender};

/// Who asks. Webhooks have a name of their own.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("Artisan/", env!("CARGO_PKG_VERSION")));

/// What is asked: a GET, or a POST of a form. Prints neither headers nor form, as both carry credentials.
#[derive(Clone)]
pub struct Fetch {
    headers: HeaderMap,
    form: Option<Bytes>,
}

impl Fetch {
    /// GET of a JSON document.
    #[must_use]
    pub fn get() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Self { headers, form: None }
    }

    /// POST of these fields as `application/x-www-form-urlencoded`, answered by a JSON document.
    #[must_use]
    pub fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut fetch = Self::get();
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        fetch.headers.insert(header::CONTENT_TYPE, content_type);
        fetch.form = Some(form.into());
        fetch
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.insert(name, value);
        self
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.form.is_some() { "Fetch(form)" } else { "Fetch(get)" })
    }
}

/// How long and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// When it is over, from DNS to the last byte.
    pub deadline: Duration,
    /// The longest body that is taken, in bytes.
    pub body: usize,
}

/// An answer with its whole body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The status, whatever it is: a redirect is an answer like any other.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Why there is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// There was no whole answer.
    #[error("there was no whole answer")]
    Failed(#[source] Failure),
    /// The body is longer than was to be taken; no more than that was read.
    #[error("the answer is longer than it may be")]
    TooLarge,
}

impl Sender {
    /// Fetches a document, and is done within `bounds` whatever the other side does.
    ///
    /// # Errors
    /// [`FetchError`] when there is no whole answer, or a longer one than is taken.
    pub async fn fetch(&self, target: &Target, fetch: Fetch, bounds: Bounds) -> Result<Document, FetchError> {
        let method = if fetch.form.is_some() { http::Method::POST } else { http::Method::GET };
        let document = async {
            let mut response =
                self.send(method, target, fetch.headers, fetch.form).await.map_err(FetchError::Failed)?;
            let status = response.status().as_u16();
            let room = u64::try_from(bounds.body).unwrap_or(u64::MAX);
            if response.content_length().is_some_and(|length| length > room) {
                return Err(FetchError::TooLarge);
            }
            let mut body = Vec::new();
            // Half a document is none.
            while let Some(chunk) =
                response.chunk().await.map_err(|error| FetchError::Failed(Failure::of(&error)))?
            {
                if chunk.len() > bounds.body.saturating_sub(body.len()) {
                    return Err(FetchError::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Document { status, body: body.into() })
        };
        let timeout = Err(FetchError::Failed(Failure::Timeout));
        tokio::time::timeout(bounds.deadline, document).await.unwrap_or(timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;
    use crate::sender::tests::{LOCAL, LONG, SHORT, listening, receiver};

    async fn fetch(url: &str, policy: Policy, fetch: Fetch, bounds: Bounds) -> Result<Document, FetchError> {
        Sender::new(policy).unwrap().fetch(&Target::parse(url, LOCAL).unwrap(), fetch, bounds).await
    }

    async fn get(answer: &str, hang: bool, bounds: Bounds) -> Result<Document, FetchError> {
        fetch(&receiver(answer.into(), hang).await, LOCAL, Fetch::get(), bounds).await
    }

    const TEN: Bounds = Bounds { deadline: LONG, body: 10 };
    const QUICK: Bounds = Bounds { deadline: SHORT, body: 10 };

    #[tokio::test]
    async fn a_document_comes_whole_with_its_status() {
        let got =
            get("HTTP/1.1 404 Not Found\r\ncontent-length: 10\r\n\r\n0123456789", false, TEN).await.unwrap();
        assert_eq!((got.status, got.body.as_ref()), (404, b"0123456789".as_slice()));
        let got = get("HTTP/1.1 200 OK\r\n\r\n01234", false, TEN).await.unwrap();
        assert_eq!(got.body.as_ref(), b"01234");
    }

    #[tokio::test]
    async fn a_longer_document_is_not_read() {
        let announced = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n";
        assert_eq!(get(announced, true, TEN).await, Err(FetchError::TooLarge));
        let unannounced =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n01234567\r\n3\r\n012\r\n";
        assert_eq!(get(unannounced, true, TEN).await, Err(FetchError::TooLarge));
    }

    #[tokio::test]
    async fn half_a_document_is_none() {
        let broken = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234";
        assert_eq!(get(broken, false, TEN).await, Err(FetchError::Failed(Failure::Reset)));
        assert_eq!(get(broken, true, QUICK).await, Err(FetchError::Failed(Failure::Timeout)));
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_not_followed() {
        let answer = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(get(answer, false, TEN).await.unwrap().status, 302);
    }

    #[tokio::test]
    async fn a_name_is_judged_by_what_it_resolves_to_when_it_is_dialled() {
        let strict = Policy { allow_loopback: false };
        let got = fetch("http://localhost:9999/", strict, Fetch::get(), TEN).await;
        assert_eq!(got, Err(FetchError::Failed(Failure::ForbiddenAddress)));
    }

    #[tokio::test]
    async fn a_form_is_posted_as_one_and_credentials_are_not_printed() {
        let (url, mut heard) =
            listening(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(), false).await;
        let credentials = HeaderValue::from_static("Basic hunter2");
        let form =
            Fetch::form([("code", "a b&c"), ("secret", "hunter2")]).with(header::AUTHORIZATION, credentials);
        assert_eq!(format!("{form:?}"), "Fetch(form)");
        fetch(&url, LOCAL, form, TEN).await.unwrap();
        let request = String::from_utf8(heard.recv().await.unwrap()).unwrap().to_lowercase();
        assert!(request.starts_with("post / http/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\ncode=a+b%26c&secret=hunter2"), "{request}");
        for header in [
            "content-type: application/x-www-form-urlencoded",
            "accept: application/json",
            "authorization: basic hunter2",
            concat!("user-agent: artisan/", env!("CARGO_PKG_VERSION")),
        ] {
            assert!(request.contains(&format!("{header}\r\n")), "{header}: {request}");
        }
    }
}
