//! One attempt: open the secrets, sign, send, judge.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clock::{Clock, Timestamp};
use egress::{Failure, Outcome, Sender, Target};
use http::{HeaderMap, HeaderName, HeaderValue};
use ids::{Ids, OrganizationId};
use signing::{Signer, SigningKey, SigningSecret, header};
use store::{Attempt, Delivery, Endpoint, ErrorClass, SigningKeyRecord};

use crate::Fault;

/// What an attempt means for its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 2xx.
    Delivered,
    /// 410: the receiver wants no more, ever.
    Gone,
    /// Anything else.
    Failed {
        /// How long the receiver asked to be left alone (429 and 503 only).
        retry_after: Option<Duration>,
    },
}

/// An attempt that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) attempt: Attempt,
    pub(crate) verdict: Verdict,
}

/// What an endpoint's deliveries are signed with and carry, opened.
pub(crate) struct Signed {
    signer: Signer,
    added: Vec<(HeaderName, HeaderValue)>,
}

impl Signed {
    pub(crate) fn new(
        sealing: &sealing::Key,
        organization: OrganizationId,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let secret = |sealed: &str| -> Result<SigningSecret, Fault> {
            let context = Endpoint::secret_context(organization, endpoint.id);
            Ok(SigningSecret::from_bytes(open(sealing, &context, sealed)?))
        };
        let key = |record: &SigningKeyRecord| -> Result<SigningKey, Fault> {
            let context = Endpoint::signing_key_context(organization, endpoint.id);
            let seed = open(sealing, &context, &record.sealed_seed)?;
            SigningKey::from_seed(&seed).map_err(|e| Fault::Secret(Box::new(e)))
        };
        let replaced = endpoint.replaced.as_ref().filter(|replaced| replaced.until > now);
        let mut signer = Signer::new(&secret(&endpoint.sealed_secret)?);
        if let Some(replaced) = replaced {
            signer = signer.previous(&secret(&replaced.sealed_secret)?);
        }
        let keys = endpoint.signing_key.iter().chain(replaced.and_then(|it| it.signing_key.as_ref()));
        for record in keys.take(if endpoint.signing_key.is_some() { 2 } else { 0 }) {
            signer = signer.key(key(record)?);
        }
        let mut added = Vec::with_capacity(endpoint.headers.len());
        for (name, value) in &endpoint.headers {
            let context = Endpoint::header_context(organization, endpoint.id, name);
            let value = open_envelope(sealing, &context, &value.0)?;
            let mut value = HeaderValue::try_from(value).map_err(|e| Fault::Secret(Box::new(e)))?;
            value.set_sensitive(true);
            let name = HeaderName::try_from(name.as_str()).map_err(|e| Fault::Secret(Box::new(e)))?;
            added.push((name, value));
        }
        Ok(Self { signer, added })
    }

    fn headers(&self, delivery: &Delivery, body: &[u8], now: Timestamp) -> HeaderMap {
        let mut headers: HeaderMap = self.added.iter().cloned().collect();
        let mut set = |name: &str, value: String| {
            // Ours are plain ASCII.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        };
        // Ours come last: nothing a customer adds can replace them.
        let id = delivery.event_id.to_string();
        let signatures = self.signer.sign(&id, now.seconds(), body);
        set("content-type", "application/json".to_owned());
        set(header::TIMESTAMP, now.seconds().to_string());
        set(header::SIGNATURE, signatures.standard);
        set(header::ARTISAN_SIGNATURE, signatures.artisan);
        set(header::ARTISAN_EVENT, delivery.event.to_string());
        set(header::ID, id);
        headers
    }
}

fn open(sealing: &sealing::Key, context: &[u8], sealed: &str) -> Result<[u8; 32], Fault> {
    let plain = open_envelope(sealing, context, sealed)?;
    plain.try_into().map_err(|_| Fault::Secret("it is not 32 bytes long".into()))
}

fn open_envelope(sealing: &sealing::Key, context: &[u8], sealed: &str) -> Result<Vec<u8>, Fault> {
    let envelope = STANDARD.decode(sealed).map_err(|e| Fault::Secret(Box::new(e)))?;
    sealing.open_envelope(context, &envelope).map_err(|e| Fault::Secret(Box::new(e)))
}

#[expect(clippy::too_many_arguments, reason = "each is one thing that an attempt is made of")]
pub(crate) async fn make(
    sender: &Sender,
    signed: &Signed,
    endpoint: &Endpoint,
    delivery: &Delivery,
    body: &str,
    number: u32,
    clock: &Clock,
    ids: &Ids,
) -> Made {
    let started_at = clock.now();
    let outcome = match Target::parse(&endpoint.url, sender.policy()) {
        Ok(target) => {
            let headers = signed.headers(delivery, body.as_bytes(), started_at);
            let timeout = Duration::from_secs(u64::from(endpoint.timeout_seconds));
            sender.post(&target, headers, Bytes::copy_from_slice(body.as_bytes()), timeout).await
        }
        // It was a target when it was saved; the rules have become stricter since.
        Err(_) => Outcome { result: Err(Failure::ForbiddenAddress), duration: Duration::ZERO },
    };
    judge(outcome, number, started_at, ids)
}

fn judge(outcome: Outcome, number: u32, started_at: Timestamp, ids: &Ids) -> Made {
    let (verdict, status, error, body) = match outcome.result {
        Ok(answer) => {
            let verdict = match answer.status {
                200..=299 => Verdict::Delivered,
                410 => Verdict::Gone,
                429 | 503 => Verdict::Failed { retry_after: answer.retry_after },
                _ => Verdict::Failed { retry_after: None },
            };
            let error = match answer.status {
                // The event was taken; what was odd about the answer is noted all the same.
                200..=299 => answer.cut_short.map(class),
                300..=399 => Some(ErrorClass::Redirect),
                _ => Some(ErrorClass::Status),
            };
            let body = Some(answer.body).filter(|body| !body.is_empty());
            (verdict, Some(answer.status), error, body)
        }
        Err(failure) => (Verdict::Failed { retry_after: None }, None, Some(class(failure)), None),
    };
    let attempt = Attempt {
        id: ids.next(),
        number,
        started_at,
        duration_ms: u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
        response_status: status,
        error,
        response_body: body,
        answer_apart: false,
    };
    Made { attempt, verdict }
}

fn class(failure: Failure) -> ErrorClass {
    match failure {
        Failure::Timeout => ErrorClass::Timeout,
        Failure::Dns => ErrorClass::Dns,
        Failure::ForbiddenAddress => ErrorClass::ForbiddenAddress,
        Failure::Connect => ErrorClass::Connect,
        Failure::Tls => ErrorClass::Tls,
        Failure::Reset => ErrorClass::Reset,
        Failure::ResponseTooLarge => ErrorClass::ResponseTooLarge,
        Failure::Protocol => ErrorClass::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(result: Result<egress::Answer, Failure>) -> (Verdict, Option<ErrorClass>) {
        let ids = Ids::new(Clock::system());
        let outcome = Outcome { result, duration: Duration::from_millis(5) };
        let made = judge(outcome, 1, clock::utc(2026, 11, 22, 15, 0), &ids);
        (made.verdict, made.attempt.error)
    }

    fn answer(status: u16) -> Result<egress::Answer, Failure> {
        let retry_after = Some(Duration::from_secs(9));
        Ok(egress::Answer { status, body: String::new(), cut_short: None, retry_after })
    }

    #[test]
    fn an_answer_that_breaks_off_counts_by_its_status_and_is_noted() {
        let cut = |status| {
            answer(status).map(|answer| egress::Answer { cut_short: Some(Failure::Reset), ..answer })
        };
        assert_eq!(verdict(cut(200)), (Verdict::Delivered, Some(ErrorClass::Reset)));
        let failed = Verdict::Failed { retry_after: None };
        assert_eq!(verdict(cut(500)), (failed, Some(ErrorClass::Status)));
    }

    #[test]
    fn only_two_hundreds_are_success() {
        for status in [200, 202, 204, 299] {
            assert_eq!(verdict(answer(status)), (Verdict::Delivered, None));
        }
        let failed = Verdict::Failed { retry_after: None };
        for status in [199, 400, 404, 500] {
            assert_eq!(verdict(answer(status)), (failed, Some(ErrorClass::Status)), "{status}");
        }
        for status in [301, 302, 307, 304] {
            assert_eq!(verdict(answer(status)), (failed, Some(ErrorClass::Redirect)), "{status}");
        }
    }

    #[test]
    fn gone_and_retry_after_are_heeded() {
        assert_eq!(verdict(answer(410)).0, Verdict::Gone);
        for status in [429, 503] {
            assert_eq!(
                verdict(answer(status)).0,
                Verdict::Failed { retry_after: Some(Duration::from_secs(9)) }
            );
        }
    }

    #[test]
    fn each_failure_keeps_its_name() {
        let failed = Verdict::Failed { retry_after: None };
        assert_eq!(verdict(Err(Failure::Tls)), (failed, Some(ErrorClass::Tls)));
        assert_eq!(verdict(Err(Failure::ForbiddenAddress)), (failed, Some(ErrorClass::ForbiddenAddress)));
    }
}
