//! Changing a key.

use access::{Caller, Grants, Permission};
use clock::Timestamp;
use input::{Faults, Patch};
use problem::Problem;
use store::{ApiKey, AuditRecord, Change, FieldChange, StoreError, touched};

use super::{Confines, DEFAULT_RATE_LIMIT, cidrs, exceeding, permissions, scopes, status_at};

/// What was sent for a key, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) name: Patch<String>,
    pub(crate) scopes: Patch<Vec<String>>,
    pub(crate) expires_at: Patch<Timestamp>,
    pub(crate) rate_limit_per_hour: Patch<u64>,
    pub(crate) allowed_cidrs: Patch<Vec<String>>,
}

/// A change of a key that may be made, if whoever makes it holds its scopes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alteration {
    pub(crate) after: ApiKey,
    grants: Grants,
    /// Whether more changes than the name.
    matters: bool,
}

/// Refuses to change or rotate a key that does not work any more, or is on its way out.
///
/// # Errors
/// 409 saying how it is.
pub(super) fn still_good(key: &ApiKey, now: Timestamp) -> Result<(), Problem> {
    match status_at(key, now) {
        "active" => Ok(()),
        status => Err(Problem::Conflict { detail: format!("The API key is {status}.") }),
    }
}

impl Draft {
    /// Checks what was sent for `key`. A key that changes another one, or itself, gives no more than it has: neither a later
    /// expiry nor wider networks nor a larger limit.
    ///
    /// # Errors
    /// 422 with every fault, 409 for a key that works no more.
    pub(crate) fn check(self, key: &ApiKey, caller: &Caller, now: Timestamp) -> Result<Alteration, Problem> {
        still_good(key, now)?;
        let matters = self.scopes.is_given()
            || self.expires_at.is_given()
            || self.rate_limit_per_hour.is_given()
            || self.allowed_cidrs.is_given();
        let (confines, mut faults) = (Confines::of(caller), Faults::default());
        let mut after = ApiKey { updated_at: touched(key.updated_at, now), ..key.clone() };
        if let Some(name) = self.name.kept("/name", &mut faults) {
            after.name = faults.take("/name", input::name(&name, 100)).unwrap_or_default();
        }
        if let Some(names) = self.scopes.kept("/scopes", &mut faults) {
            after.scopes = scopes(&names, &mut faults).iter().map(ToString::to_string).collect();
        }
        if self.expires_at.is_given() {
            after.expires_at = self.expires_at.map(Some).onto(key.expires_at, None);
            confines.check_expiry(after.expires_at, now, &mut faults);
        }
        if self.rate_limit_per_hour.is_given() {
            let default = DEFAULT_RATE_LIMIT.min(confines.largest);
            after.rate_limit_per_hour = self.rate_limit_per_hour.onto(key.rate_limit_per_hour, default);
            confines.check_limit(after.rate_limit_per_hour, &mut faults);
        }
        if self.allowed_cidrs.is_given() {
            let texts = self.allowed_cidrs.onto(key.allowed_cidrs.clone(), Vec::new());
            after.allowed_cidrs = cidrs(&texts, confines.networks, &mut faults);
        }
        let grants = permissions(&after).into_iter().collect();
        faults.finish(Some(Alteration { after, grants, matters }))
    }
}

impl Alteration {
    /// The first permission that the key has or would have and that who changes it does not hold. Anybody who may change keys
    /// may change a name.
    pub(crate) fn exceeds(&self, before: &ApiKey, caller: &Caller) -> Option<Permission> {
        let mut all = permissions(before);
        all.extend(permissions(&self.after));
        self.matters.then(|| exceeding(&caller.known, before.workspace_id, &all)).flatten()
    }

    /// Refuses a key that changes more than the name of one that then reaches further than itself, in time, networks or
    /// limit: whoever has both would have got there by it.
    ///
    /// # Errors
    /// 409.
    pub(crate) fn stays_within(&self, caller: &Caller) -> Result<(), Problem> {
        if !self.matters || Confines::of(caller).hold(&self.after) {
            return Ok(());
        }
        let detail = "The API key reaches further than the one that would change it.".to_owned();
        Err(Problem::Conflict { detail })
    }

    /// The change, with what it changes on record.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when it cannot be written as an item.
    pub(crate) fn change(
        &self,
        before: &ApiKey,
        organization: ids::OrganizationId,
        mut record: AuditRecord,
    ) -> Result<Change, StoreError> {
        record.workspace_id = before.workspace_id;
        record.sensitive = self.matters;
        record.compliance_relevant = true;
        let after = &self.after;
        let fields = [
            ("name", before.name.clone().into(), after.name.clone().into()),
            ("scopes", before.scopes.clone().into(), after.scopes.clone().into()),
            ("expires_at", of_time(before.expires_at), of_time(after.expires_at)),
            ("rate_limit_per_hour", before.rate_limit_per_hour.into(), after.rate_limit_per_hour.into()),
            ("allowed_cidrs", before.allowed_cidrs.clone().into(), after.allowed_cidrs.clone().into()),
        ];
        let changed = fields.into_iter().filter(|(_, before, after)| before != after);
        record.changes.extend(changed.map(|(field, before, after)| FieldChange {
            field: field.to_owned(),
            before,
            after,
        }));
        let change =
            Change::audited(record).change_api_key(organization, before, after, self.grants.bits())?;
        if before.expires_at == after.expires_at {
            return Ok(change);
        }
        change.schedule_expiry_warning(organization, after, after.updated_at)
    }
}

pub(super) fn of_time(time: Option<Timestamp>) -> serde_json::Value {
    time.map_or(serde_json::Value::Null, |time| time.to_string().into())
}
