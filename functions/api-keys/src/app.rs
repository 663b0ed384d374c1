//! The rules of API keys.

pub(crate) mod alteration;
pub(crate) mod leaks;
pub(crate) mod rotation;
pub(crate) mod usage;

use access::api_key::PlainKey;
use access::permission::{ApiKeysWrite, Permit as _};
use access::{Caller, CallerKind, Grants, Known, Permission};
use clock::Timestamp;
use ids::{Ids, WorkspaceId};
use input::{Fault, Faults};
use ipnet::{IpNet, Ipv4Net};
use problem::Problem;
use store::{
    ApiKey, AuditRecord, Change, FieldChange, KeyStatus, MOST_NETWORKS, Mode, Networks, Secret, StoreError,
};

/// Requests in any 60 minutes unless the key says otherwise.
const DEFAULT_RATE_LIMIT: u64 = 1000;
const LARGEST_RATE_LIMIT: u64 = 1_000_000;

/// What was sent for a key, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) mode: Option<Mode>,
    pub(crate) workspace_id: Option<WorkspaceId>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) rate_limit_per_hour: Option<u64>,
    pub(crate) allowed_cidrs: Vec<String>,
}

/// A key that may be created, if its creator holds its scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewKey {
    name: String,
    pub(crate) scopes: Vec<Permission>,
    pub(crate) mode: Mode,
    pub(crate) workspace_id: Option<WorkspaceId>,
    expires_at: Option<Timestamp>,
    rate_limit_per_hour: u64,
    allowed_cidrs: Vec<String>,
}

impl Draft {
    /// Checks what was sent. Without scopes a key gets all that its creator holds. One made by a key is confined like
    /// its maker, to workspace and mode, networks, expiry and limit, and can be confined further.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn check(self, caller: &Caller, now: Timestamp) -> Result<NewKey, Problem> {
        let creator = &caller.known;
        let mut faults = Faults::default();
        let name = faults.take("/name", input::name(&self.name, 100));
        let mode = self.mode.unwrap_or(creator.mode());
        let workspace_id = self.workspace_id.or(creator.bound_workspace());
        let scopes = match self.scopes {
            None => held(creator, workspace_id).iter().collect(),
            Some(names) => scopes(&names, &mut faults),
        };
        let confines = Confines::of(caller);
        let rate_limit_per_hour =
            self.rate_limit_per_hour.unwrap_or(DEFAULT_RATE_LIMIT.min(confines.largest));
        confines.check_limit(rate_limit_per_hour, &mut faults);
        let expires_at = self.expires_at.or(confines.latest);
        confines.check_expiry(expires_at, now, &mut faults);
        let allowed_cidrs = cidrs(&self.allowed_cidrs, confines.networks, &mut faults);
        faults.finish(name.map(|name| NewKey {
            name,
            scopes,
            mode,
            workspace_id,
            expires_at,
            rate_limit_per_hour,
            allowed_cidrs,
        }))
    }
}

/// What a key that makes or changes keys can't give beyond what it has itself. A person has no such bounds.
#[derive(Debug, Clone, Copy)]
struct Confines<'a> {
    /// When it expires.
    latest: Option<Timestamp>,
    /// From where it may be used.
    networks: &'a [IpNet],
    /// Its limit.
    largest: u64,
}

impl<'a> Confines<'a> {
    fn of(caller: &'a Caller) -> Self {
        match &caller.known.kind {
            CallerKind::Key { expires_at, networks, .. } => Self {
                latest: *expires_at,
                networks: networks.as_slice(),
                largest: caller.quota.limit.min(LARGEST_RATE_LIMIT),
            },
            CallerKind::Person { .. } => Self { latest: None, networks: &[], largest: LARGEST_RATE_LIMIT },
        }
    }

    fn check_limit(&self, limit: u64, faults: &mut Faults) {
        if !(1..=self.largest).contains(&limit) {
            let largest = self.largest;
            faults.note("/rate_limit_per_hour", Fault::new("range", format!("must be 1 to {largest}")));
        }
    }

    fn check_expiry(&self, expires_at: Option<Timestamp>, now: Timestamp, faults: &mut Faults) {
        if expires_at.is_some_and(|at| at <= now) {
            faults.note("/expires_at", Fault::new("range", "must be in the future"));
        }
        // A credential knows its expiry to the second.
        let is_later = |latest: Timestamp| expires_at.is_none_or(|at| at.seconds() > latest.seconds());
        if self.latest.is_some_and(is_later) {
            faults.note(
                "/expires_at",
                Fault::new("range", "must not be later than that of the key that makes or changes it"),
            );
        }
    }

    /// Whether a key as it is lies within them.
    fn hold(&self, key: &ApiKey) -> bool {
        let mut faults = Faults::default();
        self.check_limit(key.rate_limit_per_hour, &mut faults);
        self.check_expiry(key.expires_at, key.created_at, &mut faults);
        let open = key.allowed_cidrs.is_empty() && !self.networks.is_empty();
        let _ = cidrs(&key.allowed_cidrs, self.networks, &mut faults);
        !open && faults.finish(Some(())).is_ok()
    }
}

/// What a creator holds in the one workspace a key is for, or on the organization when it is for no single one.
fn held(creator: &Known, workspace: Option<WorkspaceId>) -> Grants {
    match workspace {
        Some(workspace) => creator.grants_in(workspace).unwrap_or_default(),
        None => creator.grants(),
    }
}

fn scopes(names: &[String], faults: &mut Faults) -> Vec<Permission> {
    if names.is_empty() {
        faults.note("/scopes", Fault::new("length", "must name at least one permission"));
    }
    if names.len() > Permission::all().count() {
        faults.note("/scopes", Fault::new("length", "must name no more permissions than there are"));
        return Vec::new();
    }
    let mut scopes: Vec<_> = names
        .iter()
        .enumerate()
        .filter_map(|(index, name)| {
            let permission = Permission::parse(name);
            if permission.is_none() {
                faults
                    .note(format!("/scopes/{index}"), Fault::new("value", "is not the name of a permission"));
            }
            permission
        })
        .collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

/// The networks named, each within one of `held`; all of `held` when none is named.
fn cidrs(texts: &[String], held: &[IpNet], faults: &mut Faults) -> Vec<String> {
    if texts.is_empty() {
        return held.iter().map(ToString::to_string).collect();
    }
    let mut networks = Vec::with_capacity(texts.len().min(MOST_NETWORKS));
    for (index, text) in texts.iter().enumerate().take(MOST_NETWORKS + 1) {
        match text.parse().map(canonical) {
            Ok(network) if !held.is_empty() && !held.iter().any(|own| own.contains(&network)) => faults.note(
                format!("/allowed_cidrs/{index}"),
                Fault::new("value", "must be within the networks of the key that makes it"),
            ),
            Ok(network) => networks.push(network.trunc()),
            Err(_) => faults.note(
                format!("/allowed_cidrs/{index}"),
                Fault::new("format", "must be a network such as 203.0.113.0/24 or 2001:db8::/32"),
            ),
        }
    }
    if texts.len() > MOST_NETWORKS || Networks::room_taken(&networks) > MOST_NETWORKS {
        let most = format!("must name at most {MOST_NETWORKS} networks; an IPv6 network counts as three");
        faults.note("/allowed_cidrs", Fault::new("length", most));
    }
    networks.iter().map(ToString::to_string).collect()
}

/// A network of IPv4 addresses in IPv6 clothing (RFC 4291 §2.5.5.2) as what it is, like the addresses it is compared with.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let inner = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    inner.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(network, IpNet::V4)
}

/// The first of `scopes` that `creator` does not hold where a key for `workspace` is used.
fn exceeding(creator: &Known, workspace: Option<WorkspaceId>, scopes: &[Permission]) -> Option<Permission> {
    let held = held(creator, workspace);
    scopes.iter().copied().find(|scope| !held.holds(*scope))
}

/// The permissions that a key holds.
fn permissions(key: &ApiKey) -> Vec<Permission> {
    key.scopes.iter().filter_map(|scope| Permission::parse(scope)).collect()
}

impl NewKey {
    /// The first permission that the creator would give without holding it where the key is for.
    pub(crate) fn exceeds(&self, creator: &Known) -> Option<Permission> {
        exceeding(creator, self.workspace_id, &self.scopes)
    }

    /// Whether a key for one workspace or mode is making one for another.
    pub(crate) fn escapes(&self, creator: &Known) -> bool {
        !creator.reaches(ApiKeysWrite::PERMISSION, self.workspace_id, self.mode)
    }

    /// The metadata of the key.
    pub(crate) fn issue(self, plain: &PlainKey, creator: &Known, ids: &Ids, now: Timestamp) -> ApiKey {
        ApiKey {
            id: ids.next(),
            name: self.name,
            mode: self.mode,
            prefix: plain.prefix().to_owned(),
            last_four: plain.last_four(),
            scopes: self.scopes.iter().map(ToString::to_string).collect(),
            workspace_id: self.workspace_id,
            status: KeyStatus::Active,
            expires_at: self.expires_at,
            rate_limit_per_hour: self.rate_limit_per_hour,
            allowed_cidrs: self.allowed_cidrs,
            rotated_from: None,
            rotated_to: None,
            locator: plain.locator(),
            created_by: creator.actor().id,
            expiry_warning: None,
            leaked_at: None,
            leaked_url: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// The change that creates `key`. A workspace it is for must exist.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn create(
    (key, secret): (&ApiKey, &Secret),
    organization: ids::OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    record.workspace_id = key.workspace_id;
    record.sensitive = true;
    record.compliance_relevant = true;
    record.changes.push(FieldChange {
        field: "scopes".to_owned(),
        before: serde_json::Value::Null,
        after: key.scopes.clone().into(),
    });
    let change = Change::audited(record).create_api_key(organization, key, secret)?;
    let change = change.schedule_expiry_warning(organization, key, key.created_at)?;
    Ok(match key.workspace_id {
        Some(workspace) => change.requires_workspace(organization, workspace),
        None => change,
    })
}

/// The change that revokes `key`, which must be as it was read, and `predecessor` with it.
pub(crate) fn revoke(
    key: &ApiKey,
    predecessor: Option<&ApiKey>,
    organization: ids::OrganizationId,
    mut record: AuditRecord,
    now: Timestamp,
) -> Change {
    record.workspace_id = key.workspace_id;
    record.sensitive = true;
    record.compliance_relevant = true;
    record.changes.push(FieldChange {
        field: "status".to_owned(),
        before: name_of(key.status).into(),
        after: name_of(KeyStatus::Revoked).into(),
    });
    Change::audited(record).revoke_api_key(organization, key, predecessor, now)
}

/// A status in answers and audit records.
fn name_of(status: KeyStatus) -> &'static str {
    match status {
        KeyStatus::Active => "active",
        KeyStatus::Rotated => "rotated",
        KeyStatus::Revoked => "revoked",
    }
}

/// What a key's status comes to at `now`: one whose time is over is said to be.
pub(crate) fn status_at(key: &ApiKey, now: Timestamp) -> &'static str {
    match (key.status, key.expires_at) {
        (KeyStatus::Active, Some(at)) if at <= now => "expired",
        (KeyStatus::Rotated, Some(at)) if at <= now => name_of(KeyStatus::Revoked),
        (status, _) => name_of(status),
    }
}
