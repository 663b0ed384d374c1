//! One attempt: open the secret, sign, send, judge.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clock::{Clock, Timestamp};
use egress::{Failure, Outcome, Sender, Target};
use http::{HeaderMap, HeaderName, HeaderValue};
use ids::Ids;
use jobs::DeliveryJob;
use signing::{SigningSecret, header};
use store::{
    Actor, Attempt, AuditRecord, Change, CommitError, Endpoint, ErrorClass, FieldChange, Refusal, Tenant,
};

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
pub(crate) struct Made {
    pub(crate) attempt: Attempt,
    pub(crate) outcome: Verdict,
}

pub(crate) async fn make(
    sender: &Sender,
    secrets: &sealing::Key,
    endpoint: &Endpoint,
    job: &DeliveryJob,
    number: u32,
    clock: &Clock,
    ids: &Ids,
) -> Result<Made, Fault> {
    let secret = open_secret(secrets, endpoint, job)?;
    let added = open_headers(secrets, endpoint, job)?;
    let started_at = clock.now();
    let outcome = match Target::parse(&endpoint.url, sender.policy()) {
        Ok(target) => {
            let headers = headers(&secret, added, job, started_at);
            let timeout = Duration::from_secs(u64::from(endpoint.timeout_seconds));
            sender.post(&target, headers, Bytes::from(job.body.clone()), timeout).await
        }
        // It was a target when it was saved; the rules have become stricter since.
        Err(_) => Outcome { result: Err(Failure::ForbiddenAddress), duration: Duration::ZERO },
    };
    Ok(judge(outcome, number, started_at, ids))
}

fn open_secret(
    secrets: &sealing::Key,
    endpoint: &Endpoint,
    job: &DeliveryJob,
) -> Result<SigningSecret, Fault> {
    let context = Endpoint::secret_context(job.organization_id, endpoint.id);
    let plain = open(secrets, &context, &endpoint.sealed_secret)?;
    let bytes: [u8; 32] = plain.try_into().map_err(|_| Fault::Secret("it is not 32 bytes long".into()))?;
    Ok(SigningSecret::from_bytes(bytes))
}

/// The headers that the customer adds.
fn open_headers(
    secrets: &sealing::Key,
    endpoint: &Endpoint,
    job: &DeliveryJob,
) -> Result<Vec<(HeaderName, HeaderValue)>, Fault> {
    let opened = endpoint.headers.iter().map(|(name, value)| {
        let context = Endpoint::header_context(job.organization_id, endpoint.id, name);
        let mut value = HeaderValue::try_from(open(secrets, &context, &value.0)?)
            .map_err(|e| Fault::Secret(Box::new(e)))?;
        value.set_sensitive(true);
        let name = HeaderName::try_from(name.as_str()).map_err(|e| Fault::Secret(Box::new(e)))?;
        Ok((name, value))
    });
    opened.collect()
}

fn open(secrets: &sealing::Key, context: &[u8], sealed: &str) -> Result<Vec<u8>, Fault> {
    let envelope = STANDARD.decode(sealed).map_err(|e| Fault::Secret(Box::new(e)))?;
    secrets.open_envelope(context, &envelope).map_err(|e| Fault::Secret(Box::new(e)))
}

fn headers(
    secret: &SigningSecret,
    added: Vec<(HeaderName, HeaderValue)>,
    job: &DeliveryJob,
    now: Timestamp,
) -> HeaderMap {
    let mut headers: HeaderMap = added.into_iter().collect();
    let mut set = |name: &str, value: String| {
        // Ours are plain ASCII.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    };
    // Ours come last: nothing a customer adds can replace them.
    let id = job.event_id.to_string();
    let body = job.body.as_bytes();
    set("content-type", "application/json".to_owned());
    set(header::TIMESTAMP, now.seconds().to_string());
    set(header::SIGNATURE, secret.standard(&id, now.seconds(), body));
    set(header::ARTISAN_SIGNATURE, secret.artisan(body));
    set(header::ARTISAN_EVENT, job.event.to_string());
    set(header::ID, id);
    headers
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
            let error = match verdict {
                // The event was taken; what was odd about the answer is noted all the same.
                Verdict::Delivered => answer.cut_short.map(class),
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
    };
    Made { attempt, outcome: verdict }
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

/// Disables an endpoint that answered 410, on record. One that is no longer enabled is left as it is.
pub(crate) async fn disable(
    tenant: &Tenant,
    endpoint: &Endpoint,
    now: Timestamp,
    ids: &Ids,
) -> Result<(), Fault> {
    const REASON: &str = "the receiver answered 410 Gone";
    let record = AuditRecord {
        id: ids.next(),
        action: "endpoint.disable",
        actor: Actor { r#type: "system".to_owned(), id: "deliver".to_owned(), email: None },
        resource_type: "endpoint".to_owned(),
        resource_id: Some(endpoint.id.to_string()),
        organization_id: tenant.organization_id(),
        workspace_id: endpoint.workspace_id,
        ip_address: String::new(),
        user_agent: None,
        request_id: ids.next::<ids::kind::Request>().to_string(),
        timestamp: now,
        success: true,
        error_code: None,
        changes: vec![FieldChange {
            field: "status".to_owned(),
            before: "enabled".into(),
            after: "disabled".into(),
        }],
        pii_accessed: false,
        sensitive: false,
        compliance_relevant: true,
    };
    let organization = tenant.organization_id();
    let change = Change::audited(record).disable_endpoint(organization, endpoint.id, REASON, now);
    match tenant.commit(change, None).await {
        Ok(()) | Err(CommitError::Refused(Refusal::Rule(_))) => Ok(()),
        Err(CommitError::Store(error)) => Err(error.into()),
        Err(other) => {
            tracing::error!(error = %other, "an endpoint could not be disabled");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(result: Result<egress::Answer, Failure>) -> (Verdict, Option<ErrorClass>) {
        let ids = Ids::new(Clock::system());
        let outcome = Outcome { result, duration: Duration::from_millis(5) };
        let made = judge(outcome, 1, clock::utc(2026, 11, 22, 15, 0), &ids);
        (made.outcome, made.attempt.error)
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
        for status in [199, 301, 304, 400, 404, 500] {
            let failed = Verdict::Failed { retry_after: None };
            assert_eq!(verdict(answer(status)), (failed, Some(ErrorClass::Status)), "{status}");
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
