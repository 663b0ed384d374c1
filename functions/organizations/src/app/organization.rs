//! The rules of its profile and its plan.

use clock::Timestamp;
use input::{Fault, Faults, Patch};
use problem::{Excess, Problem};
use store::{AuditRecord, Change, Limits, Organization, Plan, StoreError};

use super::note;
use super::settings::{Circumstances, SettingsDraft};

/// What was sent to change an organization, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) name: Patch<String>,
    pub(crate) plan: Patch<Plan>,
    pub(crate) settings: Patch<SettingsDraft>,
}

impl Draft {
    /// Checks what was sent, and gives the organization as it is to be; the same as `before` if nothing is to change.
    ///
    /// # Errors
    /// 422 with every fault; 409 when the plan does not hold what is in use.
    pub(crate) fn check(
        self,
        before: &Organization,
        circumstances: &Circumstances<'_>,
        now: Timestamp,
    ) -> Result<Organization, Problem> {
        let mut faults = Faults::default();
        let mut after = before.clone();
        if let Some(name) = given("/name", self.name, &mut faults)
            && let Some(name) = faults.take("/name", input::name(&name, 100))
        {
            after.name = name;
        }
        match given("/plan", self.plan, &mut faults) {
            // An enterprise's own limits stay as they are.
            None => {}
            Some(plan) if plan == before.plan => {}
            Some(Plan::Enterprise) => faults.note(
                "/plan",
                Fault::new("value", "must be starter, growth or business; enterprise is by agreement"),
            ),
            Some(plan) => (after.plan, after.limits) = (plan, plan.limits()),
        }
        if let Some(settings) = given("/settings", self.settings, &mut faults) {
            after.settings = settings.check(&before.settings, circumstances, &mut faults);
        }
        let after = faults.finish(Some(after))?;
        let excess = excess(before, &after.limits);
        if after.plan != before.plan && !excess.is_empty() {
            return Err(Problem::PlanTooSmall { excess });
        }
        if after == *before {
            return Ok(after);
        }
        Ok(Organization { updated_at: store::touched(before.updated_at, now), ..after })
    }
}

/// The value of a field that can be changed but not removed.
fn given<T>(pointer: &str, patch: Patch<T>, faults: &mut Faults) -> Option<T> {
    match patch {
        Patch::Absent => None,
        Patch::Value(value) => Some(value),
        Patch::Null => {
            faults.note(pointer, Fault::new("required", "can be changed, but not removed"));
            None
        }
    }
}

/// What is in use beyond `limits`.
fn excess(organization: &Organization, limits: &Limits) -> Vec<Excess> {
    let usage = &organization.usage;
    let given = usage.requests_per_hour(&organization.limits);
    [
        ("seats", usage.seat_count, limits.seat_limit),
        ("workspaces", usage.workspace_count, limits.workspace_limit),
        ("api_keys", usage.api_key_count, limits.api_key_limit),
        ("requests_per_hour", given, limits.requests_per_hour_limit),
        ("endpoints", usage.endpoint_count, limits.endpoint_limit),
    ]
    .into_iter()
    .filter(|(_, used, limit)| used > limit)
    .map(|(resource, used, limit)| Excess { resource, used, limit })
    .collect()
}

/// The change that makes `before` into `after`, on `record`, field by field. Origins are listed for preflights and taken
/// off the list, and what newly depends on a domain or on the identity provider goes ahead only while that is there.
///
/// # Errors
/// [`StoreError::Malformed`] when the settings cannot be written.
pub(crate) fn change(
    before: &Organization,
    after: &Organization,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    note(&mut record, "name", &before.name, &after.name);
    note(&mut record, "plan", &before.plan, &after.plan);
    let (was, is) = (&before.settings, &after.settings);
    note(&mut record, "settings.require_mfa", &was.require_mfa, &is.require_mfa);
    note(&mut record, "settings.require_sso", &was.require_sso, &is.require_sso);
    note(&mut record, "settings.break_glass_user_id", &was.break_glass_user_id, &is.break_glass_user_id);
    note(&mut record, "settings.allowed_domains", &was.allowed_domains, &is.allowed_domains);
    let (old_age, new_age) = (was.session_max_age_seconds, is.session_max_age_seconds);
    note(&mut record, "settings.session_max_age_seconds", &old_age, &new_age);
    note(&mut record, "settings.cors_origins", &was.cors_origins, &is.cors_origins);
    note(&mut record, "settings.admin_allowed_cidrs", &was.admin_allowed_cidrs, &is.admin_allowed_cidrs);
    note(&mut record, "settings.leaked_keys", &was.leaked_keys, &is.leaked_keys);
    record.sensitive = was != is;
    record.compliance_relevant = was != is || before.plan != after.plan;
    let mut change = Change::audited(record).change_organization(before, after)?;
    if let Some(id) = is.break_glass_user_id.filter(|id| was.break_glass_user_id != Some(*id)) {
        change = change.requires_admin(before.id, id);
    }
    for origin in is.cors_origins.iter().filter(|it| !was.cors_origins.contains(it)) {
        change = change.list_origin(before.id, origin, after.updated_at)?;
    }
    for origin in was.cors_origins.iter().filter(|it| !is.cors_origins.contains(it)) {
        change = change.unlist_origin(before.id, origin);
    }
    for domain in is.allowed_domains.iter().filter(|it| !was.allowed_domains.contains(it)) {
        change = change.requires_domain(before.id, domain);
    }
    if is.require_sso && !was.require_sso {
        change = change.requires_sso(before.id);
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::settings::tests::{circumstances, organization};

    fn checked(before: &Organization, draft: Draft) -> Result<Organization, Problem> {
        draft.check(before, &circumstances(None), before.updated_at)
    }

    fn plan(plan: Plan) -> Draft {
        Draft { plan: Patch::Value(plan), ..Draft::default() }
    }

    #[test]
    fn a_plan_brings_its_limits_and_an_enterprises_own_stay() {
        let mut before = organization();
        let after = checked(&before, plan(Plan::Growth)).unwrap();
        assert_eq!((after.plan, after.limits), (Plan::Growth, Plan::Growth.limits()));
        assert!(after.updated_at > before.updated_at);
        assert!(checked(&before, plan(Plan::Enterprise)).is_err());
        before.plan = Plan::Enterprise;
        before.limits.seat_limit = 4321;
        assert_eq!(checked(&before, plan(Plan::Enterprise)).unwrap(), before);
        assert_eq!(checked(&before, Draft::default()).unwrap(), before);
    }

    #[test]
    fn a_plan_that_is_too_small_says_what_to_free() {
        let mut before = organization();
        (before.plan, before.limits) = (Plan::Business, Plan::Business.limits());
        before.usage.seat_count = 26;
        before.usage.endpoint_count = 50;
        // 1,500,000 requests an hour are given to keys.
        before.usage.requests_per_hour_left = before.limits.requests_per_hour_limit - 1_500_000;
        let Err(Problem::PlanTooSmall { excess }) = checked(&before, plan(Plan::Growth)) else {
            panic!("accepted")
        };
        assert_eq!(excess, [Excess { resource: "seats", used: 26, limit: 25 }]);
        let Err(Problem::PlanTooSmall { excess }) = checked(&before, plan(Plan::Starter)) else {
            panic!("accepted")
        };
        let resources: Vec<_> = excess.iter().map(|it| it.resource).collect();
        assert_eq!(resources, ["seats", "requests_per_hour", "endpoints"]);
        before.usage.seat_count = 25;
        assert!(checked(&before, plan(Plan::Growth)).is_ok());
        // What is over its limit already does not stand in the way of another name.
        before.usage.seat_count = 1000;
        let renamed = Draft { name: Patch::Value(" Acme 2 ".to_owned()), ..Draft::default() };
        assert_eq!(checked(&before, renamed).unwrap().name, "Acme 2");
    }

    #[test]
    fn what_an_organization_must_have_cannot_be_removed() {
        let nothing = Draft { name: Patch::Null, plan: Patch::Null, settings: Patch::Null };
        let Err(Problem::Invalid { errors }) = checked(&organization(), nothing) else { panic!("accepted") };
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/name", "/plan", "/settings"]);
    }
}
