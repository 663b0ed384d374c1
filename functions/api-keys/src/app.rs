//! The rules of API keys.

pub(crate) mod leaks;

use access::api_key::PlainKey;
use access::permission::{ApiKeysWrite, Permit as _};
use access::{Caller, CallerKind, Grants, Known, Permission};
use clock::Timestamp;
use ids::{Ids, WorkspaceId};
use input::{Fault, Faults};
use ipnet::IpNet;
use problem::Problem;
use store::{ApiKey, AuditRecord, Change, FieldChange, KeyStatus, Mode, StoreError};

/// Requests in any 60 minutes unless the key says otherwise.
const DEFAULT_RATE_LIMIT: u64 = 1000;
const LARGEST_RATE_LIMIT: u64 = 1_000_000;
const MOST_CIDRS: usize = 50;

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
        let (latest, networks, largest) = match &creator.kind {
            CallerKind::Key { expires_at, allowed_cidrs, .. } => {
                (*expires_at, allowed_cidrs.as_slice(), caller.quota.limit)
            }
            CallerKind::Person { .. } => (None, [].as_slice(), LARGEST_RATE_LIMIT),
        };
        let rate_limit_per_hour = self.rate_limit_per_hour.unwrap_or(DEFAULT_RATE_LIMIT.min(largest));
        if !(1..=largest).contains(&rate_limit_per_hour) {
            faults.note("/rate_limit_per_hour", Fault::new("range", format!("must be 1 to {largest}")));
        }
        let expires_at = self.expires_at.or(latest);
        if expires_at.is_some_and(|at| at <= now) {
            faults.note("/expires_at", Fault::new("range", "must be in the future"));
        }
        if latest.is_some_and(|latest| expires_at.is_some_and(|at| at > latest)) {
            faults.note(
                "/expires_at",
                Fault::new("range", "must not be later than that of the key that makes it"),
            );
        }
        let allowed_cidrs = cidrs(&self.allowed_cidrs, networks, &mut faults);
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
    if texts.len() > MOST_CIDRS {
        faults
            .note("/allowed_cidrs", Fault::new("length", format!("must name at most {MOST_CIDRS} networks")));
    }
    let mut networks = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate().take(MOST_CIDRS) {
        match text.parse::<IpNet>() {
            Ok(network) if !held.is_empty() && !held.iter().any(|own| own.contains(&network)) => faults.note(
                format!("/allowed_cidrs/{index}"),
                Fault::new("value", "must be within the networks of the key that makes it"),
            ),
            Ok(network) => networks.push(network.trunc().to_string()),
            Err(_) => faults.note(
                format!("/allowed_cidrs/{index}"),
                Fault::new("format", "must be a network such as 203.0.113.0/24 or 2001:db8::/32"),
            ),
        }
    }
    networks
}

impl NewKey {
    /// The first permission that the creator would give without holding it where the key is for.
    pub(crate) fn exceeds(&self, creator: &Known) -> Option<Permission> {
        let held = held(creator, self.workspace_id);
        self.scopes.iter().copied().find(|scope| !held.holds(*scope))
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
            hash: plain.hash(),
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
    key: &ApiKey,
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
    let change = Change::audited(record).create_api_key(organization, key)?;
    let change = change.schedule_expiry_warning(organization, key, key.created_at)?;
    Ok(match key.workspace_id {
        Some(workspace) => change.requires_workspace(organization, workspace),
        None => change,
    })
}

/// The change that revokes `key`; with `unchanged`, only if it is as it was read.
pub(crate) fn revoke(
    key: &ApiKey,
    organization: ids::OrganizationId,
    unchanged: bool,
    mut record: AuditRecord,
    now: Timestamp,
) -> Change {
    record.workspace_id = key.workspace_id;
    record.sensitive = true;
    record.compliance_relevant = true;
    record.changes.push(FieldChange {
        field: "status".to_owned(),
        before: "active".into(),
        after: "revoked".into(),
    });
    Change::audited(record).revoke_api_key(organization, key, unchanged, now)
}
