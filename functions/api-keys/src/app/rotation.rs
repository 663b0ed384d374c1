//! Rotating a key: another one takes its place, with the same rights or fewer, on the same budget.

use std::time::Duration;

use access::api_key::PlainKey;
use access::{Caller, Grants, Permission};
use clock::Timestamp;
use ids::Ids;
use input::{Fault, Faults};
use problem::Problem;
use store::{ApiKey, AuditRecord, Change, FieldChange, KeyStatus, Secret, StoreError, Succession, touched};

use super::alteration::{of_time, still_good};
use super::{Confines, exceeding, name_of, permissions, scopes};

/// The longest time that a rotated key goes on working: seven days.
const LONGEST_GRACE_SECONDS: u64 = 7 * 24 * 60 * 60;

/// What was sent for a rotation, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) grace_seconds: Option<u64>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) expires_at: Option<Timestamp>,
}

/// A rotation that may be made, if whoever makes it holds the key's scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rotation {
    scopes: Vec<Permission>,
    expires_at: Option<Timestamp>,
    grace: Duration,
}

/// The keys of a rotation.
#[derive(Debug)]
pub(crate) struct Rotated {
    /// The one that takes over, and its text.
    pub(crate) new: ApiKey,
    pub(crate) plain: PlainKey,
    /// The one that it takes over from, afterwards.
    retired: ApiKey,
}

impl Draft {
    /// Checks what was sent for `key`: the new key can have less than the old one, and not more. A key that rotates another
    /// one gets a key into its hands, so that one must lie within its own confines.
    ///
    /// # Errors
    /// 422 with every fault, 409 for a key that works no more or reaches further than the one that would rotate it.
    pub(crate) fn check(self, key: &ApiKey, caller: &Caller, now: Timestamp) -> Result<Rotation, Problem> {
        still_good(key, now)?;
        if !Confines::of(caller).hold(key) {
            let detail = "The API key reaches further than the one that would rotate it.".to_owned();
            return Err(Problem::Conflict { detail });
        }
        let mut faults = Faults::default();
        let seconds = self.grace_seconds.unwrap_or(0);
        if seconds > LONGEST_GRACE_SECONDS {
            let most = format!("must be 0 to {LONGEST_GRACE_SECONDS}");
            faults.note("/grace_seconds", Fault::new("range", most));
        }
        let held = permissions(key);
        let scopes = match self.scopes {
            None => held,
            Some(names) => {
                let wanted = scopes(&names, &mut faults);
                if wanted.iter().any(|scope| !held.contains(scope)) {
                    let within = "must be among those of the key that is rotated";
                    faults.note("/scopes", Fault::new("value", within));
                }
                wanted
            }
        };
        let expires_at = self.expires_at.or(key.expires_at);
        if expires_at.is_some_and(|at| at <= now) {
            faults.note("/expires_at", Fault::new("range", "must be in the future"));
        }
        if key.expires_at.is_some_and(|latest| expires_at.is_some_and(|at| at > latest)) {
            let latest = "must not be later than that of the key that is rotated";
            faults.note("/expires_at", Fault::new("range", latest));
        }
        faults.finish(Some(Rotation { scopes, expires_at, grace: Duration::from_secs(seconds) }))
    }
}

impl Rotation {
    /// The first permission of the old key that whoever rotates it does not hold: they would get it with the new one.
    pub(crate) fn exceeds(key: &ApiKey, caller: &Caller) -> Option<Permission> {
        exceeding(&caller.known, key.workspace_id, &permissions(key))
    }

    /// The two keys as they are afterwards.
    ///
    /// # Errors
    /// [`sealing::SealError`] when there is no randomness to be had.
    pub(crate) fn carry_out(
        self,
        old: &ApiKey,
        caller: &Caller,
        ids: &Ids,
        now: Timestamp,
    ) -> Result<Rotated, sealing::SealError> {
        let plain = PlainKey::generate(old.mode)?;
        let new = ApiKey {
            id: ids.next(),
            last_four: plain.last_four(),
            scopes: self.scopes.iter().map(ToString::to_string).collect(),
            expires_at: self.expires_at,
            rotated_from: Some(old.id),
            locator: plain.locator(),
            expiry_warning: None,
            leaked_at: None,
            leaked_url: None,
            created_by: caller.known.actor().id,
            created_at: now,
            updated_at: now,
            ..old.clone()
        };
        let mut retired = ApiKey {
            status: KeyStatus::Revoked,
            rotated_to: Some(new.id),
            updated_at: touched(old.updated_at, now),
            ..old.clone()
        };
        if !self.grace.is_zero() {
            let until = now + self.grace;
            retired.status = KeyStatus::Rotated;
            // The old key draws on the new one's budget, so it ends with that at the latest.
            retired.expires_at = [old.expires_at, new.expires_at].into_iter().flatten().chain([until]).min();
        }
        Ok(Rotated { new, plain, retired })
    }
}

impl Rotated {
    /// What the new key may do.
    pub(crate) fn grants(&self) -> Grants {
        permissions(&self.new).into_iter().collect()
    }

    /// The change that rotates `old`, with both keys on record.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when a record cannot be written as an item.
    pub(crate) fn change(
        &self,
        old: &ApiKey,
        predecessor: Option<&ApiKey>,
        (succession, secret): (&Succession, &Secret),
        organization: ids::OrganizationId,
        mut record: AuditRecord,
    ) -> Result<Change, StoreError> {
        record.workspace_id = old.workspace_id;
        record.sensitive = true;
        record.compliance_relevant = true;
        let (new, retired) = (&self.new, &self.retired);
        let fields = [
            ("rotated_to", serde_json::Value::Null, new.id.to_string().into()),
            ("status", name_of(old.status).into(), name_of(retired.status).into()),
            ("scopes", old.scopes.clone().into(), new.scopes.clone().into()),
            ("expires_at", of_time(old.expires_at), of_time(new.expires_at)),
        ];
        let changed = fields.into_iter().filter(|(_, before, after)| before != after);
        record.changes.extend(changed.map(|(field, before, after)| FieldChange {
            field: field.to_owned(),
            before,
            after,
        }));
        let change = Change::audited(record)
            .rotate_api_key(organization, (old, retired), predecessor, (new, secret), succession)?
            .schedule_expiry_warning(organization, new, new.created_at)?;
        Ok(match new.workspace_id {
            Some(workspace) => change.requires_workspace(organization, workspace),
            None => change,
        })
    }
}
