//! The rules of its identity provider.

use clock::Timestamp;
use egress::{Policy, Target};
use ids::OrganizationId;
use input::{Fault, Faults, Text};
use oidc::ClientSeal;
use problem::Problem;
use sealing::SealError;
use secrecy::SecretString;
use store::{AuditRecord, Change, Organization, SsoConnection, StoreError};

use super::note;
use super::placement::Placement;

const LONGEST_SECRET: usize = 1024;

/// What was sent for a connection, before it is checked.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<String>,
    pub(crate) placement: Placement,
}

/// A connection that may be set up.
#[derive(Debug)]
pub(crate) struct Checked {
    issuer: String,
    client_id: String,
    client_secret: Option<String>,
    placement: Placement,
}

impl Draft {
    /// Checks what was sent. The secret may be left out where there is one already and it goes on belonging to the same
    /// client of the same provider: another one is never sent it.
    ///
    /// # Errors
    /// 422 with every fault.
    pub(crate) fn check(self, before: Option<&SsoConnection>, policy: Policy) -> Result<Checked, Problem> {
        let mut faults = Faults::default();
        let issuer = faults.take("/issuer", issuer(&self.issuer, policy));
        let client_id = faults.take("/client_id", Text::up_to(256).check(&self.client_id));
        let client_secret =
            faults.take_optional("/client_secret", self.client_secret, |secret| check_secret(&secret));
        self.placement.check("/default_role", "/default_workspace_id", &mut faults);
        let same = before.is_some_and(|before| {
            issuer.as_ref() == Some(&before.issuer) && client_id.as_ref() == Some(&before.client_id)
        });
        let checked = faults.finish(issuer.zip(client_id))?;
        if client_secret.is_none() && !same {
            let message = "must be given for a new issuer or client";
            return Err(Problem::invalid("/client_secret", "required", message));
        }
        let (issuer, client_id) = checked;
        Ok(Checked { issuer, client_id, client_secret, placement: self.placement })
    }
}

/// An issuer, exactly as it was sent: tokens must name the very same one (OpenID Connect Core, section 3.1.3.7). It has no
/// query and no fragment (section 2).
fn issuer(text: &str, policy: Policy) -> Result<String, Fault> {
    let target = Target::parse(text, policy).map_err(|error| Fault::new("value", error.to_string()))?;
    if target.url().query().is_some() {
        return Err(Fault::new("value", "must not contain a query"));
    }
    Ok(text.to_owned())
}

fn check_secret(secret: &str) -> Result<String, Fault> {
    let length = secret.chars().count();
    if !(1..=LONGEST_SECRET).contains(&length) {
        return Err(Fault::new("length", format!("must have 1 to {LONGEST_SECRET} characters")));
    }
    if secret.chars().any(char::is_control) {
        return Err(Fault::new("characters", "must not contain control characters"));
    }
    Ok(secret.to_owned())
}

impl Checked {
    /// Refuses another provider while everybody has to come through the present one and nobody could get in without it.
    ///
    /// # Errors
    /// 409.
    pub(crate) fn locks_nobody_out(
        &self,
        before: Option<&SsoConnection>,
        organization: &Organization,
    ) -> Result<(), Problem> {
        let settings = &organization.settings;
        let other = before.is_some_and(|it| it.issuer != self.issuer || it.client_id != self.client_id);
        if other && settings.require_sso && settings.break_glass_user_id.is_none() {
            let detail = "Everybody has to sign on there. Name a break-glass admin first, or switch `require_sso` off.";
            return Err(Problem::Conflict { detail: detail.to_owned() });
        }
        Ok(())
    }

    /// The connection, its secret sealed for this organization alone.
    ///
    /// # Errors
    /// [`SealError`] when the secret can't be sealed.
    pub(crate) fn connect(
        self,
        before: Option<&SsoConnection>,
        organization: OrganizationId,
        seal: &ClientSeal,
        now: Timestamp,
    ) -> Result<SsoConnection, SealError> {
        let sealed_client_secret = match (self.client_secret, before) {
            (Some(secret), _) => seal.seal(organization, &SecretString::from(secret))?,
            (None, Some(before)) => before.sealed_client_secret.clone(),
            // `Draft::check` asks for a secret where there is none.
            (None, None) => return Err(SealError::Failed),
        };
        Ok(SsoConnection {
            issuer: self.issuer,
            client_id: self.client_id,
            sealed_client_secret,
            default_role: self.placement.role,
            default_workspace_id: self.placement.workspace_id,
            created_at: before.map_or(now, |before| before.created_at),
            updated_at: before.map_or(now, |before| store::touched(before.updated_at, now)),
        })
    }
}

/// The change that sets the connection up or changes it. A workspace that people join must exist. That a secret was
/// replaced is on record, the secret is not.
///
/// # Errors
/// [`StoreError::Malformed`] when it cannot be written as an item.
pub(crate) fn set(
    before: Option<&SsoConnection>,
    after: &SsoConnection,
    organization: OrganizationId,
    mut record: AuditRecord,
) -> Result<Change, StoreError> {
    let of = |field: fn(&SsoConnection) -> &String| (before.map(field), Some(field(after)));
    for (name, (was, is)) in [("issuer", of(|it| &it.issuer)), ("client_id", of(|it| &it.client_id))] {
        note(&mut record, name, &was, &is);
    }
    note(&mut record, "default_role", &before.map(|it| it.default_role), &Some(after.default_role));
    let was = before.and_then(|before| before.default_workspace_id);
    note(&mut record, "default_workspace_id", &was, &after.default_workspace_id);
    if before.is_none_or(|before| before.sealed_client_secret != after.sealed_client_secret) {
        note(&mut record, "client_secret", &None, &Some("replaced"));
    }
    record.sensitive = true;
    record.compliance_relevant = true;
    let change = Change::audited(record).set_sso(organization, before, after)?;
    Ok(match after.default_workspace_id {
        Some(workspace) => change.requires_workspace(organization, workspace),
        None => change,
    })
}

/// The change that removes the connection, provided the organization does not rely on it by then.
///
/// # Errors
/// 409 while sessions must have begun there.
pub(crate) fn remove(
    before: &SsoConnection,
    organization: &Organization,
    mut record: AuditRecord,
) -> Result<Change, Problem> {
    if organization.settings.require_sso {
        let detail = "The organization requires single sign-on. Switch `require_sso` off first.".to_owned();
        return Err(Problem::Conflict { detail });
    }
    note(&mut record, "issuer", &Some(&before.issuer), &None);
    record.sensitive = true;
    record.compliance_relevant = true;
    Ok(Change::audited(record).remove_sso(organization.id, before).while_unchanged(organization))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Id;
    use sealing::MasterSecret;
    use secrecy::ExposeSecret as _;
    use store::Role;

    fn draft(issuer: &str, client_secret: Option<&str>) -> Draft {
        Draft {
            issuer: issuer.to_owned(),
            client_id: "artisan".to_owned(),
            client_secret: client_secret.map(str::to_owned),
            placement: Placement { role: Role::ReadOnly, workspace_id: None },
        }
    }

    fn pointer(checked: Result<Checked, Problem>) -> String {
        match checked {
            Err(Problem::Invalid { errors }) => errors.into_iter().next().unwrap().pointer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_issuer_is_public_https_and_kept_to_the_letter() {
        let policy = Policy::default();
        let good = "https://Login.example.com/tenant/";
        assert_eq!(draft(good, Some("s")).check(None, policy).unwrap().issuer, good);
        for bad in [
            "http://login.example.com",
            "https://localhost",
            "https://10.0.0.1",
            "https://login.example.com/?x=1",
            "https://login.example.com/#x",
            "https://user:pw@login.example.com",
            "login.example.com",
        ] {
            assert_eq!(pointer(draft(bad, Some("s")).check(None, policy)), "/issuer", "{bad}");
        }
        let local = Policy { allow_loopback: true };
        assert!(draft("http://127.0.0.1:8080", Some("s")).check(None, local).is_ok());
    }

    #[test]
    fn a_secret_stays_with_the_client_and_provider_it_was_given_for() {
        let at = clock::utc(2026, 11, 22, 15, 0);
        let (organization, other) = (Id::derived(at, [1; 16]), Id::derived(at, [2; 16]));
        let seal = ClientSeal::new(&MasterSecret::new("s".repeat(64))).unwrap();
        let policy = Policy::default();
        let first = draft("https://login.example.com", Some("client secret")).check(None, policy).unwrap();
        let first = first.connect(None, organization, &seal, at).unwrap();
        let open = |id| seal.open(id, &first.sealed_client_secret);
        assert_eq!(open(organization).unwrap().expose_secret(), "client secret");
        assert!(open(other).is_err());
        let kept = draft("https://login.example.com", None).check(Some(&first), policy).unwrap();
        let kept = kept.connect(Some(&first), organization, &seal, at).unwrap();
        assert_eq!(kept.sealed_client_secret, first.sealed_client_secret);
        for moved in [draft("https://evil.example", None), draft("https://login.example.com/", None)] {
            assert_eq!(pointer(moved.check(Some(&first), policy)), "/client_secret");
        }
        assert_eq!(pointer(draft("https://login.example.com", None).check(None, policy)), "/client_secret");
        for bad in ["", "a\nb", &"x".repeat(1025)] {
            let draft = draft("https://login.example.com", Some(bad));
            assert_eq!(pointer(draft.check(None, policy)), "/client_secret");
        }
    }
}
