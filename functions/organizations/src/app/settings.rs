//! The rules of its settings. All but one of them can lock people out, so each of those asks that whoever switches it is
//! not locked out by it, or that somebody else can still come in: the break-glass admin.
//!
//! API keys are bound by none of what sessions must prove, and can prove nothing. So they switch neither `require_mfa` nor
//! `require_sso`, and name allowed domains only where there is a break-glass admin.

use std::net::IpAddr;

use access::{CallerKind, Known, policy};
use dns::Domain;
use ids::UserId;
use input::{Fault, Faults, Patch};
use ipnet::IpNet;
use store::{DomainClaim, LeakedKeys, Member, Role, Settings};
use url::{Host, Url};

const MOST_DOMAINS: usize = 50;
const MOST_ORIGINS: usize = 20;
const MOST_NETWORKS: usize = 50;
/// From 15 minutes, the life of an access token, to 30 days, the longest life of a session.
const SESSION_AGES: std::ops::RangeInclusive<u64> = 900..=2_592_000;

const REQUIRE_MFA: &str = "/settings/require_mfa";
const REQUIRE_SSO: &str = "/settings/require_sso";
const BREAK_GLASS: &str = "/settings/break_glass_user_id";
const ALLOWED_DOMAINS: &str = "/settings/allowed_domains";
const SESSION_MAX_AGE: &str = "/settings/session_max_age_seconds";
const CORS_ORIGINS: &str = "/settings/cors_origins";
const ADMIN_ALLOWED_CIDRS: &str = "/settings/admin_allowed_cidrs";

/// What was sent to change settings, before it is checked. Null brings a setting back to its default.
#[derive(Debug, Clone, Default)]
pub(crate) struct SettingsDraft {
    pub(crate) require_mfa: Patch<bool>,
    pub(crate) require_sso: Patch<bool>,
    pub(crate) break_glass_user_id: Patch<UserId>,
    pub(crate) allowed_domains: Patch<Vec<String>>,
    pub(crate) session_max_age_seconds: Patch<u64>,
    pub(crate) cors_origins: Patch<Vec<String>>,
    pub(crate) admin_allowed_cidrs: Patch<Vec<String>>,
    pub(crate) leaked_keys: Patch<LeakedKeys>,
}

/// Who changes settings.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Author<'a> {
    /// An API key.
    Key,
    /// A person in a session.
    Person {
        /// Their e-mail address.
        email: &'a str,
        /// What the session proved.
        amr: &'a [String],
    },
}

impl<'a> From<&'a Known> for Author<'a> {
    fn from(known: &'a Known) -> Self {
        match &known.kind {
            CallerKind::Key { .. } => Self::Key,
            CallerKind::Person { email, amr, .. } => Self::Person { email, amr },
        }
    }
}

impl Author<'_> {
    fn is_key(self) -> bool {
        matches!(self, Self::Key)
    }

    /// Whether the session proved one of these.
    fn proved(self, methods: &[&str]) -> bool {
        match self {
            Self::Key => false,
            Self::Person { amr, .. } => amr.iter().any(|proof| methods.contains(&proof.as_str())),
        }
    }

    /// Whether their address is of one of `domains`.
    fn lives_in(self, domains: &[String]) -> bool {
        match self {
            Self::Key => false,
            Self::Person { email, .. } => policy::is_of_domain(domains, email),
        }
    }
}

/// What settings are judged by.
#[derive(Debug, Clone)]
pub(crate) struct Circumstances<'a> {
    /// Who changes them.
    pub(crate) author: Author<'a>,
    /// From where.
    pub(crate) from: IpAddr,
    /// The organization's claims to domains.
    pub(crate) domains: &'a [DomainClaim],
    /// Whether it has an identity provider.
    pub(crate) has_sso: bool,
    /// The member whom the draft names as the break-glass admin, if there is such a member.
    pub(crate) break_glass: Option<&'a Member>,
}

impl SettingsDraft {
    /// The settings as they are to be. What can't be is noted in `faults`.
    pub(crate) fn check(
        self,
        before: &Settings,
        circumstances: &Circumstances<'_>,
        faults: &mut Faults,
    ) -> Settings {
        let mut after = before.clone();
        if let Some(id) = changed(self.break_glass_user_id.map(Some), before.break_glass_user_id, None) {
            after.break_glass_user_id = id;
            let is_admin = |member: &Member| member.is_active() && member.role == Some(Role::Admin);
            if id.is_some() && !circumstances.break_glass.is_some_and(is_admin) {
                faults.note(BREAK_GLASS, Fault::new("value", "must be an active admin of the organization"));
            }
        }
        if let Some(on) = changed(self.require_mfa, before.require_mfa, false) {
            after.require_mfa = on;
            judge_mfa(on, circumstances, faults);
        }
        if let Some(on) = changed(self.require_sso, before.require_sso, false) {
            after.require_sso = on;
            judge_sso(on, circumstances, faults);
        }
        if let Some(names) = given_list(self.allowed_domains) {
            after.allowed_domains = domains(&names, &before.allowed_domains, circumstances, faults);
        }
        if let Some(age) =
            changed(self.session_max_age_seconds.map(Some), before.session_max_age_seconds, None)
        {
            after.session_max_age_seconds = age;
            if age.is_some_and(|age| !SESSION_AGES.contains(&age)) {
                let (least, most) = (SESSION_AGES.start(), SESSION_AGES.end());
                faults.note(SESSION_MAX_AGE, Fault::new("range", format!("must be {least} to {most}")));
            }
        }
        if let Some(names) = given_list(self.cors_origins) {
            after.cors_origins = origins(&names, faults);
        }
        if let Some(names) = given_list(self.admin_allowed_cidrs) {
            after.admin_allowed_cidrs = networks(&names, faults);
            if !policy::admits_address(&after.admin_allowed_cidrs, circumstances.from) {
                let message = "must hold the address that you come from now, or you would lock yourself out";
                faults.note(ADMIN_ALLOWED_CIDRS, Fault::new("value", message));
            }
        }
        after.leaked_keys = self.leaked_keys.onto(before.leaked_keys, LeakedKeys::default());
        judge_lock_out(before, &after, circumstances, faults);
        after
    }
}

/// What a field is to be, if that is something else than it is.
fn changed<T: PartialEq>(patch: Patch<T>, before: T, default: T) -> Option<T> {
    let after = match patch {
        Patch::Absent => return None,
        Patch::Null => default,
        Patch::Value(value) => value,
    };
    (after != before).then_some(after)
}

/// A list that was sent; null is an empty one.
fn given_list(patch: Patch<Vec<String>>) -> Option<Vec<String>> {
    patch.is_given().then(|| patch.onto(Vec::new(), Vec::new()))
}

/// Only somebody who has a second factor may ask everybody for one.
fn judge_mfa(on: bool, circumstances: &Circumstances<'_>, faults: &mut Faults) {
    let proved = circumstances.author.proved(&[policy::ONE_TIME_CODE, policy::SEVERAL_FACTORS]);
    if circumstances.author.is_key() {
        faults
            .note(REQUIRE_MFA, Fault::new("value", "is switched by people only: an API key proves nothing"));
    } else if on && !proved {
        let message = "can be switched on only in a session that has itself proved a second factor";
        faults.note(REQUIRE_MFA, Fault::new("value", message));
    }
}

fn judge_sso(on: bool, circumstances: &Circumstances<'_>, faults: &mut Faults) {
    if circumstances.author.is_key() {
        faults
            .note(REQUIRE_SSO, Fault::new("value", "is switched by people only: an API key proves nothing"));
    } else if on && !circumstances.has_sso {
        let message = "needs an identity provider: set one up with PUT /api/admin/sso first";
        faults.note(REQUIRE_SSO, Fault::new("value", message));
    }
}

/// With everything as it is to be, whoever changes it must still be able to come in, or the break-glass admin must.
fn judge_lock_out(
    before: &Settings,
    after: &Settings,
    circumstances: &Circumstances<'_>,
    faults: &mut Faults,
) {
    if after.break_glass_user_id.is_some() {
        return;
    }
    let lost = before.break_glass_user_id.is_some();
    let newly_sso = after.require_sso && !before.require_sso && !circumstances.author.is_key();
    if after.require_sso && (newly_sso || lost) && !circumstances.author.proved(&[policy::SINGLE_SIGN_ON]) {
        let message = "would lock out every admin: sign in through the identity provider, or name a break-glass \
                       admin first";
        faults.note(if lost { BREAK_GLASS } else { REQUIRE_SSO }, Fault::new("value", message));
    }
    let restricts = !after.allowed_domains.is_empty();
    let newly = after.allowed_domains != before.allowed_domains;
    if restricts && (newly || lost) && !circumstances.author.lives_in(&after.allowed_domains) {
        let message = "must include the domain of your own address, unless there is a break-glass admin";
        faults.note(if newly { ALLOWED_DOMAINS } else { BREAK_GLASS }, Fault::new("value", message));
    }
}

/// Domains that the organization has verified; those that were allowed before may stay even so.
fn domains(
    names: &[String],
    before: &[String],
    circumstances: &Circumstances<'_>,
    faults: &mut Faults,
) -> Vec<String> {
    let is_good = |name: &str| {
        let claimed = circumstances.domains.iter().find(|claim| claim.domain == name);
        claimed.is_some_and(|claim| claim.status.is_good())
    };
    list(ALLOWED_DOMAINS, MOST_DOMAINS, "domains", names, faults, |name| {
        let domain = Domain::parse(name).map_err(|fault| Fault::new("format", fault.to_string()))?;
        let name = domain.as_str();
        if !is_good(name) && !before.iter().any(|allowed| allowed == name) {
            return Err(Fault::new("value", "must be a domain that the organization has verified"));
        }
        Ok(name.to_owned())
    })
}

fn origins(names: &[String], faults: &mut Faults) -> Vec<String> {
    list(CORS_ORIGINS, MOST_ORIGINS, "origins", names, faults, |name| {
        is_origin(name).then(|| name.to_owned()).ok_or_else(|| {
            let message = "must be an origin just as a browser sends it, such as https://app.example.com: in lower \
                           case, without path, slash at the end, wildcard or default port; http for localhost only";
            Fault::new("format", message)
        })
    })
}

/// Whether a text is a web origin as browsers write it (RFC 6454, section 6.2).
fn is_origin(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let plain = !text.contains(|c: char| !(c.is_ascii_alphanumeric() || "-.:/[]".contains(c)));
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    plain && scheme && url.origin().ascii_serialization() == text
}

fn networks(names: &[String], faults: &mut Faults) -> Vec<String> {
    list(ADMIN_ALLOWED_CIDRS, MOST_NETWORKS, "networks", names, faults, |name| {
        let network = name
            .parse::<IpNet>()
            .map_err(|_| Fault::new("format", "must be a network such as 203.0.113.0/24 or 2001:db8::/32"))?;
        Ok(network.trunc().to_string())
    })
}

/// The list that `check` makes of `names`, in order and without repetition.
fn list(
    pointer: &str,
    most: usize,
    what: &str,
    names: &[String],
    faults: &mut Faults,
    check: impl Fn(&str) -> Result<String, Fault>,
) -> Vec<String> {
    if names.len() > most {
        faults.note(pointer, Fault::new("length", format!("must name at most {most} {what}")));
    }
    let named = names.iter().enumerate().take(most);
    let mut checked: Vec<String> =
        named.filter_map(|(index, name)| faults.take(&format!("{pointer}/{index}"), check(name))).collect();
    checked.sort_unstable();
    checked.dedup();
    checked
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use super::*;
    use ids::Id;
    use problem::Problem;
    use store::{DomainStatus, MemberStatus, Organization};

    static DOMAINS: LazyLock<Vec<DomainClaim>> = LazyLock::new(|| {
        [("example.com", DomainStatus::Verified), ("failing.example", DomainStatus::Failing)]
            .into_iter()
            .chain([("pending.example", DomainStatus::Pending), ("lapsed.example", DomainStatus::Lapsed)])
            .map(|(domain, status)| claim(domain, status))
            .collect()
    });

    fn at() -> clock::Timestamp {
        clock::utc(2026, 11, 22, 15, 0)
    }

    fn claim(domain: &str, status: DomainStatus) -> DomainClaim {
        DomainClaim {
            domain: domain.to_owned(),
            status,
            challenge: "x".to_owned(),
            auto_join: None,
            verified_at: None,
            checked_at: None,
            failing_since: None,
            next_check_at: None,
            created_at: at(),
            updated_at: at(),
        }
    }

    pub(in crate::app) fn organization() -> Organization {
        Organization::founded(Id::derived(at(), [1; 16]), "Acme".to_owned(), at())
    }

    /// Those of a person who has proved a password, or of one with these proofs.
    pub(in crate::app) fn circumstances(amr: Option<&'static [String]>) -> Circumstances<'static> {
        Circumstances {
            author: Author::Person { email: "ada@example.com", amr: amr.unwrap_or_default() },
            from: "203.0.113.7".parse().unwrap(),
            domains: &DOMAINS,
            has_sso: true,
            break_glass: None,
        }
    }

    fn proofs(amr: &[&str]) -> Option<&'static [String]> {
        let proofs: Vec<String> = amr.iter().map(|proof| (*proof).to_owned()).collect();
        Some(Vec::leak(proofs))
    }

    fn admin(id: UserId, status: MemberStatus, role: Role) -> Member {
        Member {
            user_id: id,
            email: "bea@example.com".to_owned(),
            name: "Bea".to_owned(),
            role: Some(role),
            workspace_roles: Vec::new(),
            status,
            address_proved: true,
            generation: 0,
            created_at: at(),
            updated_at: at(),
        }
    }

    fn judged(
        before: &Settings,
        draft: SettingsDraft,
        circumstances: &Circumstances<'_>,
    ) -> Result<Settings, Vec<String>> {
        let mut faults = Faults::default();
        let after = draft.check(before, circumstances, &mut faults);
        faults.finish(Some(after)).map_err(|problem| match problem {
            Problem::Invalid { errors } => errors.into_iter().map(|error| error.pointer).collect(),
            other => panic!("{other:?}"),
        })
    }

    fn strings(names: &[&str]) -> Patch<Vec<String>> {
        Patch::Value(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn origins_are_taken_just_as_browsers_send_them() {
        for good in [
            "https://app.example.com",
            "https://app.example.com:8443",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
            "https://xn--exmple-cua.com",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "app.example.com",
            "http://app.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://app.example.com:443",
            "https://App.example.com",
            "HTTPS://app.example.com",
            "https://*.example.com",
            "https://user@app.example.com",
            "https://app.example.com?x",
            "https://app.example.com#x",
            "https://exämple.com",
            " https://app.example.com",
            "http://localhost.evil.com",
            "ftp://localhost",
            "file:///",
            "https://",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn networks_are_normalized_and_hold_the_callers_address() {
        let networks = |names: &[&str]| {
            let draft = SettingsDraft { admin_allowed_cidrs: strings(names), ..SettingsDraft::default() };
            judged(&Settings::default(), draft, &circumstances(None)).map(|after| after.admin_allowed_cidrs)
        };
        assert_eq!(networks(&["203.0.113.9/24", "203.0.113.0/24"]).unwrap(), ["203.0.113.0/24"]);
        assert_eq!(networks(&[]).unwrap(), Vec::<String>::new());
        assert_eq!(networks(&["198.51.100.0/24"]).unwrap_err(), [ADMIN_ALLOWED_CIDRS]);
        let pointers = networks(&["203.0.113.0/24", "203.0.113.7", "0.0.0.0/40"]).unwrap_err();
        assert_eq!(pointers, [format!("{ADMIN_ALLOWED_CIDRS}/1"), format!("{ADMIN_ALLOWED_CIDRS}/2")]);
        let many: Vec<String> = (0..51).map(|n| format!("203.0.113.{n}/32")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(networks(&many).unwrap_err().contains(&ADMIN_ALLOWED_CIDRS.to_owned()));
    }

    #[test]
    fn a_second_factor_is_asked_for_by_who_has_one() {
        let draft = |on| SettingsDraft { require_mfa: Patch::Value(on), ..SettingsDraft::default() };
        let (off, on) = (Settings::default(), Settings { require_mfa: true, ..Settings::default() });
        assert_eq!(judged(&off, draft(true), &circumstances(None)).unwrap_err(), [REQUIRE_MFA]);
        for proof in ["otp", "mfa"] {
            let proved = circumstances(proofs(&["pwd", proof]));
            assert!(judged(&off, draft(true), &proved).unwrap().require_mfa);
        }
        assert!(!judged(&on, draft(false), &circumstances(None)).unwrap().require_mfa);
        let key = Circumstances { author: Author::Key, ..circumstances(None) };
        assert_eq!(judged(&off, draft(true), &key).unwrap_err(), [REQUIRE_MFA]);
        assert_eq!(judged(&on, draft(false), &key).unwrap_err(), [REQUIRE_MFA]);
        assert!(judged(&on, draft(true), &key).is_ok(), "nothing is switched");
    }

    #[test]
    fn single_sign_on_leaves_a_way_in() {
        let id: UserId = Id::derived(at(), [2; 16]);
        let member = admin(id, MemberStatus::Active, Role::Admin);
        let draft = SettingsDraft { require_sso: Patch::Value(true), ..SettingsDraft::default() };
        let off = Settings::default();
        let without = Circumstances { has_sso: false, ..circumstances(proofs(&["sso"])) };
        assert_eq!(judged(&off, draft.clone(), &without).unwrap_err(), [REQUIRE_SSO]);
        assert_eq!(judged(&off, draft.clone(), &circumstances(None)).unwrap_err(), [REQUIRE_SSO]);
        assert!(judged(&off, draft.clone(), &circumstances(proofs(&["sso"]))).unwrap().require_sso);
        let named = Circumstances { break_glass: Some(&member), ..circumstances(None) };
        let both = SettingsDraft { break_glass_user_id: Patch::Value(id), ..draft.clone() };
        let on = judged(&off, both, &named).unwrap();
        assert!(on.require_sso && on.break_glass_user_id == Some(id));
        let key = Circumstances { author: Author::Key, ..circumstances(None) };
        assert_eq!(judged(&off, draft, &key).unwrap_err(), [REQUIRE_SSO]);
        // And the way in is not taken away afterwards.
        let alone = SettingsDraft { break_glass_user_id: Patch::Null, ..SettingsDraft::default() };
        assert_eq!(judged(&on, alone.clone(), &circumstances(None)).unwrap_err(), [BREAK_GLASS]);
        assert!(judged(&on, alone, &circumstances(proofs(&["sso"]))).is_ok());
    }

    #[test]
    fn the_break_glass_admin_is_an_active_admin() {
        let id: UserId = Id::derived(at(), [2; 16]);
        let draft = || SettingsDraft { break_glass_user_id: Patch::Value(id), ..SettingsDraft::default() };
        let with = |member: Option<&Member>| {
            let circumstances = Circumstances { break_glass: member, ..circumstances(None) };
            judged(&Settings::default(), draft(), &circumstances)
        };
        assert!(with(Some(&admin(id, MemberStatus::Active, Role::Admin))).is_ok());
        for member in [
            admin(id, MemberStatus::Deactivated, Role::Admin),
            admin(id, MemberStatus::Active, Role::ReadOnly),
        ] {
            assert_eq!(with(Some(&member)).unwrap_err(), [BREAK_GLASS]);
        }
        assert_eq!(with(None).unwrap_err(), [BREAK_GLASS]);
    }

    #[test]
    fn allowed_domains_are_verified_and_ones_own_is_among_them() {
        let draft =
            |names: &[&str]| SettingsDraft { allowed_domains: strings(names), ..SettingsDraft::default() };
        let none = Settings::default();
        let allowed = |names: &[&str]| judged(&none, draft(names), &circumstances(None));
        let after = allowed(&["Failing.Example", "example.com", "example.com"]).unwrap();
        assert_eq!(after.allowed_domains, ["example.com", "failing.example"]);
        for bad in ["pending.example", "lapsed.example", "nobody.example", "com", "x y"] {
            assert_eq!(
                allowed(&["example.com", bad]).unwrap_err(),
                [format!("{ALLOWED_DOMAINS}/1")],
                "{bad}"
            );
        }
        assert_eq!(allowed(&["failing.example"]).unwrap_err(), [ALLOWED_DOMAINS]);
        let key = Circumstances { author: Author::Key, ..circumstances(None) };
        assert_eq!(judged(&none, draft(&["example.com"]), &key).unwrap_err(), [ALLOWED_DOMAINS]);
        let id: UserId = Id::derived(at(), [2; 16]);
        let guarded = Settings { break_glass_user_id: Some(id), ..Settings::default() };
        assert!(judged(&guarded, draft(&["failing.example"]), &key).is_ok());
        // One that has lapsed may stay until a person takes it off.
        let old = Settings { allowed_domains: vec!["lapsed.example".to_owned()], ..Settings::default() };
        assert!(judged(&old, draft(&["lapsed.example", "example.com"]), &circumstances(None)).is_ok());
        assert!(judged(&old, draft(&[]), &key).is_ok());
    }

    #[test]
    fn the_age_of_sessions_has_bounds() {
        let age = |age| {
            let draft = SettingsDraft { session_max_age_seconds: age, ..SettingsDraft::default() };
            let before = Settings { session_max_age_seconds: Some(1000), ..Settings::default() };
            judged(&before, draft, &circumstances(None)).map(|after| after.session_max_age_seconds)
        };
        assert_eq!(age(Patch::Value(900)).unwrap(), Some(900));
        assert_eq!(age(Patch::Value(2_592_000)).unwrap(), Some(2_592_000));
        assert_eq!(age(Patch::Null).unwrap(), None);
        assert_eq!(age(Patch::Absent).unwrap(), Some(1000));
        for bad in [0, 899, 2_592_001, u64::MAX] {
            assert_eq!(age(Patch::Value(bad)).unwrap_err(), [SESSION_MAX_AGE], "{bad}");
        }
    }
}
