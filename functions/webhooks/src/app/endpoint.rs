//! Creating and deleting endpoints, and what endpoints are made of.

use std::collections::BTreeMap;

use access::Known;
use access::permission::{Permit as _, WebhooksWrite};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::Timestamp;
use egress::{Policy, Target};
use events::Subscription;
use http::{HeaderName, HeaderValue};
use ids::{EndpointId, Ids, OrganizationId, WorkspaceId};
use input::{Fault, Faults, Text};
use problem::Problem;
use sealing::SealError;
use signing::{SigningKey, SigningSecret};
use store::{AuditRecord, Change, Endpoint, FieldChange, Mode, SealedHeader, SigningKeyRecord, StoreError};

pub(crate) const MOST_HEADERS: usize = 20;
const LONGEST_HEADER: usize = 1024;
/// The values of all headers: an endpoint is read with every batch that has something for it.
pub(crate) const MOST_HEADER_BYTES: usize = 4096;

/// Headers that are ours to set, or that say how the message itself is carried.
const RESERVED: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
const RESERVED_PREFIXES: &[&str] = &["webhook-", "x-artisan-", "x-amz-", "x-amzn-"];

/// What was sent for an endpoint, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    pub(crate) workspace_id: Option<WorkspaceId>,
    pub(crate) mode: Option<Mode>,
    pub(crate) description: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) timeout_seconds: Option<u32>,
    pub(crate) max_retries: Option<u32>,
    pub(crate) rate_limit_per_second: Option<u32>,
    pub(crate) signatures: Option<Vec<String>>,
}

/// An endpoint that may be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewEndpoint {
    url: String,
    events: Subscription,
    pub(crate) workspace_id: Option<WorkspaceId>,
    pub(crate) mode: Mode,
    description: Option<String>,
    headers: BTreeMap<String, String>,
    timeout_seconds: u32,
    max_retries: u32,
    rate_limit_per_second: Option<u32>,
    /// Whether its deliveries are signed with a key of its own, too.
    asymmetric: bool,
}

pub(crate) const TIMEOUT_SECONDS: (u32, u32) = (1, 30);
pub(crate) const MAX_RETRIES: (u32, u32) = (0, 12);
pub(crate) const RATE_PER_SECOND: (u32, u32) = (1, 1000);
pub(crate) const DEFAULT_TIMEOUT_SECONDS: u32 = 30;
pub(crate) const DEFAULT_MAX_RETRIES: u32 = 4;
pub(crate) const LONGEST_DESCRIPTION: usize = 500;

/// `value` if it lies in a range, both ends included.
pub(crate) fn within(pointer: &str, value: u32, (low, high): (u32, u32), faults: &mut Faults) -> u32 {
    if !(low..=high).contains(&value) {
        faults.note(pointer, Fault::new("range", format!("must be {low} to {high}")));
    }
    value
}

/// The URL of an endpoint.
pub(crate) fn url(text: &str, policy: Policy, faults: &mut Faults) -> Option<String> {
    let target = Target::parse(text, policy).map_err(|e| Fault::new("value", e.to_string()));
    faults.take("/url", target).map(|target| target.url().to_string())
}

/// Whether `v1a` is among the signatures that are asked for. `v1` always is.
pub(crate) fn asymmetric(signatures: &[String], faults: &mut Faults) -> bool {
    let mut names: Vec<_> = signatures.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        ["v1"] => false,
        ["v1", "v1a"] => true,
        _ => {
            faults.note("/signatures", Fault::new("value", "must be [\"v1\"] or [\"v1\", \"v1a\"]"));
            false
        }
    }
}

impl Draft {
    /// Checks what was sent.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn check(self, creator: &Known, policy: Policy) -> Result<NewEndpoint, Problem> {
        let mut faults = Faults::default();
        let url = url(&self.url, policy, &mut faults);
        let events = events(&self.events, &mut faults);
        let description = faults.take_optional("/description", self.description, |text| {
            Text::up_to(LONGEST_DESCRIPTION).check(&text)
        });
        let headers = headers(self.headers, &mut faults);
        let timeout = self.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        let timeout_seconds = within("/timeout_seconds", timeout, TIMEOUT_SECONDS, &mut faults);
        let retries = self.max_retries.unwrap_or(DEFAULT_MAX_RETRIES);
        let max_retries = within("/max_retries", retries, MAX_RETRIES, &mut faults);
        let rate = self.rate_limit_per_second;
        let rate_limit_per_second =
            rate.map(|rate| within("/rate_limit_per_second", rate, RATE_PER_SECOND, &mut faults));
        let asymmetric = self.signatures.is_some_and(|signatures| asymmetric(&signatures, &mut faults));
        let mode = self.mode.unwrap_or(creator.mode());
        let workspace_id = self.workspace_id.or(creator.bound_workspace());
        faults.finish(url.zip(events).map(|(url, events)| NewEndpoint {
            url,
            events,
            workspace_id,
            mode,
            description,
            headers,
            timeout_seconds,
            max_retries,
            rate_limit_per_second,
            asymmetric,
        }))
    }
}

pub(crate) fn events(names: &[String], faults: &mut Faults) -> Option<Subscription> {
    if names.is_empty() {
        faults.note("/events", Fault::new("length", "must name at least one event type, or be [\"*\"]"));
        return None;
    }
    match Subscription::parse(names) {
        Ok(subscription) => Some(subscription),
        Err(index) => {
            let message = "is not an event type; `*` stands alone";
            faults.note(format!("/events/{index}"), Fault::new("value", message));
            None
        }
    }
}

pub(crate) fn headers(sent: BTreeMap<String, String>, faults: &mut Faults) -> BTreeMap<String, String> {
    if sent.len() > MOST_HEADERS {
        faults.note("/headers", Fault::new("length", format!("must have at most {MOST_HEADERS} headers")));
    }
    bounded(sent.values().map(String::len).sum(), faults);
    let mut headers = BTreeMap::new();
    for (name, value) in sent {
        let name = name.to_ascii_lowercase();
        // Of what RFC 6901 escapes, a name can hold this alone.
        let pointer = format!("/headers/{}", name.replace('~', "~0"));
        let reserved = RESERVED.contains(&name.as_str())
            || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if HeaderName::try_from(name.as_str()).is_err() || name.len() > 64 {
            faults.note(
                "/headers",
                Fault::new("format", "names must be HTTP header names of up to 64 characters"),
            );
        } else if reserved {
            faults.note(pointer, Fault::new("value", "is a header that we set ourselves"));
        } else if HeaderValue::try_from(value.as_str()).is_err() || value.len() > LONGEST_HEADER {
            let message = format!("must be an HTTP header value of up to {LONGEST_HEADER} bytes");
            faults.note(pointer, Fault::new("format", message));
        } else {
            headers.insert(name, value);
        }
    }
    headers
}

/// Notes a fault if the values of all headers have more bytes than there is room for.
pub(crate) fn bounded(bytes: usize, faults: &mut Faults) {
    if bytes > MOST_HEADER_BYTES {
        let message = format!("the values must have at most {MOST_HEADER_BYTES} bytes in all");
        faults.note("/headers", Fault::new("length", message));
    }
}

impl NewEndpoint {
    /// Whether a caller confined to one workspace or mode is making one for another.
    pub(crate) fn escapes(&self, creator: &Known) -> bool {
        !creator.reaches(WebhooksWrite::PERMISSION, self.workspace_id, self.mode)
    }

    /// The endpoint, enabled, with its secrets and the values of its headers sealed for it alone.
    ///
    /// # Errors
    /// [`SealError`] when they can't be made or sealed.
    pub(crate) fn open(
        self,
        organization: OrganizationId,
        key: &sealing::Key,
        ids: &Ids,
        now: Timestamp,
    ) -> Result<(Endpoint, SigningSecret), SealError> {
        let id: EndpointId = ids.next();
        let (secret, sealed_secret) = new_secret(organization, id, key)?;
        let signing_key = if self.asymmetric { Some(new_signing_key(organization, id, key)?) } else { None };
        let endpoint = Endpoint {
            events: self.events.names(),
            workspace_id: self.workspace_id,
            mode: self.mode,
            description: self.description,
            headers: sealed_headers(self.headers, organization, id, key)?,
            timeout_seconds: self.timeout_seconds,
            max_retries: self.max_retries,
            rate_limit_per_second: self.rate_limit_per_second,
            signing_key,
            ..Endpoint::new(id, self.url, sealed_secret, now)
        };
        Ok((endpoint, secret))
    }
}

/// A new signing secret, and as it is stored.
pub(crate) fn new_secret(
    organization: OrganizationId,
    id: EndpointId,
    key: &sealing::Key,
) -> Result<(SigningSecret, String), SealError> {
    let secret: [u8; 32] = sealing::random()?;
    let sealed = key.seal_envelope(&Endpoint::secret_context(organization, id), &secret)?;
    Ok((SigningSecret::from_bytes(secret), STANDARD.encode(sealed)))
}

/// A new key for `v1a` signatures, as it is stored.
pub(crate) fn new_signing_key(
    organization: OrganizationId,
    id: EndpointId,
    key: &sealing::Key,
) -> Result<SigningKeyRecord, SealError> {
    let seed: [u8; 32] = sealing::random()?;
    let sealed = key.seal_envelope(&Endpoint::signing_key_context(organization, id), &seed)?;
    let public_key = SigningKey::from_seed(&seed).map_err(|_| SealError::Failed)?.verifying_key().to_string();
    Ok(SigningKeyRecord { sealed_seed: STANDARD.encode(sealed), public_key })
}

/// The values of headers, each sealed for this endpoint and its name alone.
pub(crate) fn sealed_headers(
    headers: BTreeMap<String, String>,
    organization: OrganizationId,
    id: EndpointId,
    key: &sealing::Key,
) -> Result<BTreeMap<String, SealedHeader>, SealError> {
    let sealed = headers.into_iter().map(|(name, value)| {
        let context = Endpoint::header_context(organization, id, &name);
        let sealed = key.seal_envelope(&context, value.as_bytes())?;
        Ok((name, SealedHeader(STANDARD.encode(sealed))))
    });
    sealed.collect()
}

/// The change that creates `endpoint`. A workspace it is for must exist.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn create(
    endpoint: &Endpoint,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    record.workspace_id = endpoint.workspace_id;
    record.compliance_relevant = true;
    let created = |field: &str, after: serde_json::Value| FieldChange {
        field: field.to_owned(),
        before: serde_json::Value::Null,
        after,
    };
    record.changes.push(created("url", endpoint.url.clone().into()));
    record.changes.push(created("events", endpoint.events.clone().into()));
    let change = Change::audited(record).create_endpoint(organization, endpoint)?;
    Ok(match endpoint.workspace_id {
        Some(workspace) => change.requires_workspace(organization, workspace),
        None => change,
    })
}

/// The change that deletes `endpoint`; with `unchanged`, only if it is as it was read.
pub(crate) fn delete(
    endpoint: &Endpoint,
    organization: OrganizationId,
    unchanged: bool,
    mut record: AuditRecord,
) -> Change {
    record.workspace_id = endpoint.workspace_id;
    record.compliance_relevant = true;
    record.changes.push(FieldChange {
        field: "url".to_owned(),
        before: endpoint.url.clone().into(),
        after: serde_json::Value::Null,
    });
    Change::audited(record).delete_endpoint(organization, endpoint, unchanged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of_headers(headers_sent: &[(&str, &str)]) -> usize {
        let sent = headers_sent.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let mut faults = Faults::default();
        headers(sent, &mut faults);
        match faults.finish(Some(())) {
            Ok(()) => 0,
            Err(Problem::Invalid { errors }) => errors.len(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_customer_can_add_headers_but_not_ours() {
        assert_eq!(faults_of_headers(&[("X-Team", "sales"), ("Authorization", "Bearer t")]), 0);
        for name in
            ["Host", "Content-Length", "webhook-id", "X-Artisan-Signature", "Transfer-Encoding", "a b", ""]
        {
            assert_eq!(faults_of_headers(&[(name, "x")]), 1, "{name}");
        }
        assert_eq!(faults_of_headers(&[("x-a", "line\r\nbreak")]), 1);
        assert_eq!(faults_of_headers(&[("x-a", &"v".repeat(1025))]), 1);
        let long = "v".repeat(1024);
        let four = ["x-a", "x-b", "x-c", "x-d"].map(|name| (name, long.as_str()));
        assert_eq!(faults_of_headers(&four), 0);
        assert_eq!(faults_of_headers(&[&four[..], &[("x-e", "v")]].concat()), 1, "4 KiB of values in all");
    }

    #[test]
    fn the_name_of_a_header_is_escaped_where_it_is_pointed_at() {
        let mut faults = Faults::default();
        headers(BTreeMap::from([("webhook-~id".to_owned(), "x".to_owned())]), &mut faults);
        let Err(Problem::Invalid { errors }) = faults.finish(Some(())) else { panic!("accepted") };
        assert_eq!(errors[0].pointer, "/headers/webhook-~0id");
    }

    #[test]
    fn an_added_header_is_sealed_for_its_endpoint_and_name() {
        let key = sealing::MasterSecret::new("a master secret of 32 characters".to_owned());
        let key = key.sealing_key(sealing::Purpose::WebhookSecrets).unwrap();
        let ids = Ids::new(clock::Clock::system());
        let organization = ids.next();
        let new = NewEndpoint {
            url: "https://example.com/".to_owned(),
            events: Subscription::parse(&["*".to_owned()]).unwrap(),
            workspace_id: None,
            mode: Mode::Live,
            description: None,
            headers: BTreeMap::from([("authorization".to_owned(), "Bearer t".to_owned())]),
            timeout_seconds: 30,
            max_retries: 4,
            rate_limit_per_second: None,
            asymmetric: true,
        };
        let (endpoint, _) = new.open(organization, &key, &ids, clock::utc(2026, 11, 22, 15, 0)).unwrap();
        assert!(endpoint.signing_key.unwrap().public_key.starts_with("whpk_"));
        let sealed = STANDARD.decode(&endpoint.headers["authorization"].0).unwrap();
        let opened = |id, name| key.open_envelope(&Endpoint::header_context(organization, id, name), &sealed);
        assert_eq!(opened(endpoint.id, "authorization").unwrap(), b"Bearer t");
        assert!(opened(endpoint.id, "x-other").is_err());
        assert!(opened(ids.next(), "authorization").is_err());
        assert!(key.open_envelope(&Endpoint::secret_context(organization, endpoint.id), &sealed).is_err());
    }

    #[test]
    fn events_are_a_list_of_types_or_a_star() {
        for (names, good) in [
            (vec!["lead.replied"], true),
            (vec!["*"], true),
            (vec![], false),
            (vec!["lead.*"], false),
            (vec!["*", "lead.replied"], false),
        ] {
            let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
            assert_eq!(events(&names, &mut Faults::default()).is_some(), good, "{names:?}");
        }
    }
}
