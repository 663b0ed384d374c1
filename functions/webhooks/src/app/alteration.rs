//! Changing endpoints: what they are, whether they are sent to, and what they are signed with.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::Timestamp;
use egress::Policy;
use events::Subscription;
use ids::{EndpointId, OrganizationId};
use input::{Fault, Faults, Patch, Text};
use problem::Problem;
use sealing::SealError;
use serde_json::Value;
use signing::SigningSecret;
use store::{
    AuditRecord, Backlog, Change, Endpoint, EndpointStatus, FieldChange, Replaced, SealedHeader, StoreError,
    touched,
};

use super::endpoint::{
    DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT_SECONDS, LONGEST_DESCRIPTION, MAX_RETRIES, MOST_HEADER_BYTES,
    MOST_HEADERS, RATE_PER_SECOND, TIMEOUT_SECONDS, asymmetric, bounded, events, headers, new_secret,
    new_signing_key, sealed_headers, url, within,
};

/// How long deliveries are signed with a secret that was replaced, unless it is asked otherwise.
pub(crate) const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// And how long at most.
pub(crate) const LONGEST_OVERLAP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What was sent for an endpoint, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) url: Patch<String>,
    pub(crate) events: Patch<Vec<String>>,
    pub(crate) description: Patch<String>,
    /// Each name by itself: a value sets it, null takes it away, and what is not named stays.
    pub(crate) headers: Patch<BTreeMap<String, Option<String>>>,
    pub(crate) timeout_seconds: Patch<u32>,
    pub(crate) max_retries: Patch<u32>,
    pub(crate) rate_limit_per_second: Patch<u32>,
    pub(crate) signatures: Patch<Vec<String>>,
}

/// What an endpoint is to become.
pub(crate) struct Alteration {
    pub(crate) after: Endpoint,
    set: BTreeMap<String, String>,
    asymmetric: Option<bool>,
}

impl Draft {
    /// Checks what was sent for `endpoint`.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn check(
        self,
        endpoint: &Endpoint,
        policy: Policy,
        now: Timestamp,
    ) -> Result<Alteration, Problem> {
        let mut faults = Faults::default();
        let mut after = Endpoint { updated_at: touched(endpoint.updated_at, now), ..endpoint.clone() };
        if let Some(text) = self.url.kept("/url", &mut faults) {
            after.url = url(&text, policy, &mut faults).unwrap_or_default();
        }
        if let Some(names) = self.events.kept("/events", &mut faults) {
            after.events = events(&names, &mut faults).as_ref().map(Subscription::names).unwrap_or_default();
        }
        if self.description.is_given() {
            let text = self.description.map(Some).onto(None, None);
            let check = |text: String| Text::up_to(LONGEST_DESCRIPTION).check(&text);
            after.description = faults.take_optional("/description", text, check);
        }
        let timeout = self.timeout_seconds.onto(after.timeout_seconds, DEFAULT_TIMEOUT_SECONDS);
        after.timeout_seconds = within("/timeout_seconds", timeout, TIMEOUT_SECONDS, &mut faults);
        let retries = self.max_retries.onto(after.max_retries, DEFAULT_MAX_RETRIES);
        after.max_retries = within("/max_retries", retries, MAX_RETRIES, &mut faults);
        let rate = self.rate_limit_per_second.map(Some).onto(after.rate_limit_per_second, None);
        after.rate_limit_per_second =
            rate.map(|rate| within("/rate_limit_per_second", rate, RATE_PER_SECOND, &mut faults));
        let signatures = self.signatures.kept("/signatures", &mut faults);
        let asymmetric = signatures.map(|signatures| asymmetric(&signatures, &mut faults));
        let mut set = BTreeMap::new();
        match self.headers {
            Patch::Absent => {}
            Patch::Null => after.headers.clear(),
            Patch::Value(sent) => {
                for (name, value) in sent {
                    match value {
                        None => drop(after.headers.remove(&name.to_ascii_lowercase())),
                        Some(value) => drop(set.insert(name, value)),
                    }
                }
                let alone: usize = set.values().map(String::len).sum();
                set = headers(set, &mut faults);
                let kept = after.headers.iter().filter(|(name, _)| !set.contains_key(*name));
                let (kept, bytes) =
                    kept.fold((0, 0), |(count, bytes), (_, value)| (count + 1, bytes + length(value)));
                // Too much by itself has been noted.
                if !set.is_empty() && alone <= MOST_HEADER_BYTES {
                    bounded(alone + bytes, &mut faults);
                }
                if kept + set.len() > MOST_HEADERS {
                    let message =
                        format!("must have at most {MOST_HEADERS} headers, those that stay included");
                    faults.note("/headers", Fault::new("length", message));
                }
            }
        }
        // Nobody is shown their values, and whoever may name a URL could have them sent to one of their own.
        let kept = after.headers.keys().any(|name| !set.contains_key(name));
        let moves = origin(&after.url).is_some_and(|to| origin(&endpoint.url) != Some(to));
        if kept && moves {
            let message = "give the headers anew, or null, when the URL goes to another origin";
            faults.note("/headers", Fault::new("required", message));
        }
        faults.finish(Some(Alteration { after, set, asymmetric }))
    }
}

/// Scheme, host and port of an endpoint's URL; `None` of one that was refused.
fn origin(url: &str) -> Option<url::Origin> {
    url::Url::parse(url).ok().map(|url| url.origin())
}

impl Alteration {
    /// Seals what is new. Signatures that are asked for anew get a key; ones that are not wanted any more lose theirs.
    ///
    /// # Errors
    /// [`SealError`] when it can't be sealed.
    pub(crate) fn seal(
        mut self,
        organization: OrganizationId,
        key: &sealing::Key,
    ) -> Result<Endpoint, SealError> {
        let id = self.after.id;
        self.set.retain(|name, value| {
            let present = self.after.headers.get(name);
            !present.is_some_and(|sealed| is_sealed_in(sealed, name, value, organization, id, key))
        });
        let sealed = sealed_headers(self.set, organization, id, key)?;
        self.after.headers.extend(sealed);
        match (self.asymmetric, self.after.signing_key.is_some()) {
            (Some(true), false) => {
                self.after.signing_key = Some(new_signing_key(organization, self.after.id, key)?);
            }
            (Some(false), true) => self.after.signing_key = None,
            _ => {}
        }
        Ok(self.after)
    }
}

/// How many bytes the value has that `sealed` holds.
fn length(sealed: &SealedHeader) -> usize {
    let envelope = STANDARD.decode(&sealed.0).unwrap_or_default();
    envelope.len().saturating_sub(sealing::ENVELOPE_OVERHEAD)
}

/// Whether `value` is what `sealed` holds.
fn is_sealed_in(
    sealed: &SealedHeader,
    name: &str,
    value: &str,
    organization: OrganizationId,
    id: EndpointId,
    key: &sealing::Key,
) -> bool {
    let opened = STANDARD.decode(&sealed.0).ok().and_then(|envelope| {
        key.open_envelope(&Endpoint::header_context(organization, id, name), &envelope).ok()
    });
    opened.is_some_and(|opened| opened == value.as_bytes())
}

/// Whether nothing about an endpoint is changed.
pub(crate) fn is_the_same(before: &Endpoint, after: &Endpoint) -> bool {
    *before == Endpoint { updated_at: before.updated_at, ..after.clone() }
}

/// The change of an endpoint, with what it changes on record: of headers their names.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn change(
    before: &Endpoint,
    after: &Endpoint,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    record.workspace_id = before.workspace_id;
    record.compliance_relevant = true;
    let now = record.timestamp;
    let fields = |endpoint: &Endpoint| {
        let names: Vec<String> = endpoint.headers.keys().cloned().collect();
        [
            ("url", Value::from(endpoint.url.clone())),
            ("events", endpoint.events.clone().into()),
            ("description", endpoint.description.clone().into()),
            ("headers", names.into()),
            ("timeout_seconds", endpoint.timeout_seconds.into()),
            ("max_retries", endpoint.max_retries.into()),
            ("rate_limit_per_second", endpoint.rate_limit_per_second.into()),
            ("status", serde_json::to_value(endpoint.status).unwrap_or_default()),
            ("disabled_reason", endpoint.disabled_reason.clone().into()),
            ("public_key", endpoint.signing_key.as_ref().map(|key| key.public_key.clone()).into()),
        ]
    };
    for ((field, before), (_, after)) in fields(before).into_iter().zip(fields(after)) {
        if before != after {
            record.changes.push(FieldChange { field: field.to_owned(), before, after });
        }
    }
    if before.headers != after.headers && before.headers.keys().eq(after.headers.keys()) {
        let changed = |text: &str| Value::from(text);
        let (before, after) = (changed("not shown"), changed("not shown, and other values"));
        record.changes.push(FieldChange { field: "headers".to_owned(), before, after });
    }
    let change = Change::audited(record).change_endpoint(organization, before, after)?;
    let anew = before.url != after.url || before.status != after.status;
    Ok(if anew && after.status == EndpointStatus::Enabled {
        change.begin_endpoint_anew(organization, before.id, now)
    } else if anew {
        change.look_at_endpoint(organization, before.id, now)
    } else {
        change
    })
}

/// The endpoint, sent to again.
///
/// # Errors
/// 409 when it is.
pub(crate) fn enabled(endpoint: &Endpoint, now: Timestamp) -> Result<Endpoint, Problem> {
    if endpoint.status == EndpointStatus::Enabled {
        return Err(Problem::Conflict { detail: "The endpoint is enabled.".to_owned() });
    }
    Ok(Endpoint {
        status: EndpointStatus::Enabled,
        disabled_reason: None,
        disabled_at: None,
        missed_since: None,
        enabled_at: Some(now),
        updated_at: touched(endpoint.updated_at, now),
        ..endpoint.clone()
    })
}

/// The endpoint, not sent to any more, for which this waits.
///
/// # Errors
/// 409 when it isn't, 422 for a reason that is none.
pub(crate) fn disabled(
    endpoint: &Endpoint,
    reason: Option<&str>,
    waiting: &Backlog,
    now: Timestamp,
) -> Result<Endpoint, Problem> {
    let mut faults = Faults::default();
    let reason = faults.take_optional("/reason", reason, |text| Text::up_to(LONGEST_DESCRIPTION).check(text));
    faults.finish(Some(()))?;
    if endpoint.status == EndpointStatus::Disabled {
        return Err(Problem::Conflict { detail: "The endpoint is disabled.".to_owned() });
    }
    Ok(endpoint.disabled(reason.unwrap_or_else(|| "disabled by hand".to_owned()), waiting, now))
}

/// The endpoint with a new secret, and a new key if it has one. What was there before is signed with, too, for as long as
/// `overlap`; what was replaced before that, no longer.
///
/// # Errors
/// [`SealError`] when a secret can't be made or sealed.
pub(crate) fn rotated(
    endpoint: &Endpoint,
    overlap: Duration,
    organization: OrganizationId,
    key: &sealing::Key,
    now: Timestamp,
) -> Result<(Endpoint, SigningSecret), SealError> {
    let (secret, sealed_secret) = new_secret(organization, endpoint.id, key)?;
    let signing_key = match &endpoint.signing_key {
        Some(_) => Some(new_signing_key(organization, endpoint.id, key)?),
        None => None,
    };
    let replaced = Replaced {
        sealed_secret: endpoint.sealed_secret.clone(),
        signing_key: endpoint.signing_key.clone(),
        until: now + overlap,
    };
    let rotated = Endpoint {
        sealed_secret,
        signing_key,
        replaced: (overlap > Duration::ZERO).then_some(replaced),
        updated_at: touched(endpoint.updated_at, now),
        ..endpoint.clone()
    };
    Ok((rotated, secret))
}
