//! Policies: what an organization asks of a session, judged by what that session proved.
//!
//! Never by what its person has configured: a second factor that was enrolled but not used in this session counts for
//! nothing. Judged with every request against the organization as it is at that moment, so that a stricter policy binds
//! the sessions that are already there.

use std::net::IpAddr;
use std::time::Duration;

use clock::Timestamp;
use ipnet::IpNet;
use store::{Member, Organization, OrganizationStatus, Role, SessionCredential, Standing};

/// Proved by a password.
pub const PASSWORD: &str = "pwd";
/// Proved by a one-time code.
pub const ONE_TIME_CODE: &str = "otp";
/// Proved by the organization's identity provider.
pub const SINGLE_SIGN_ON: &str = "sso";
/// The identity provider says that it asked for several factors (RFC 8176).
pub const SEVERAL_FACTORS: &str = "mfa";

/// What stands between a session and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The session is over: its person was removed or deactivated, or all their sessions were ended, or it is older than
    /// the organization lets sessions grow.
    Over,
    /// The organization is deleted.
    OrganizationDeleted,
    /// It did not begin at the organization's identity provider.
    SsoRequired,
    /// It has not proved a second factor.
    MfaRequired,
    /// The person's e-mail domain is not one the organization admits.
    DomainNotAllowed,
}

/// The first thing that stands in the way of a session, if anything does.
#[must_use]
pub fn judge(session: &SessionCredential, standing: &Standing, now: Timestamp) -> Option<Obstacle> {
    let (Some(organization), Some(member)) = (&standing.organization, &standing.member) else {
        return Some(Obstacle::Over);
    };
    let settings = &organization.settings;
    let proved = |method: &str| session.amr.iter().any(|it| it == method);
    let too_old = settings
        .session_max_age_seconds
        .is_some_and(|most| now.since(session.authenticated_at) >= Duration::from_secs(most));
    if !member.is_active()
        || session.epoch != standing.epoch
        || session.generation != member.generation
        || too_old
    {
        return Some(Obstacle::Over);
    }
    if organization.status == OrganizationStatus::Deleted {
        return Some(Obstacle::OrganizationDeleted);
    }
    let break_glass = breaks_glass(organization, member);
    if !break_glass && !admits_domain(organization, &session.email) {
        return Some(Obstacle::DomainNotAllowed);
    }
    if settings.require_sso && !break_glass && !proved(SINGLE_SIGN_ON) {
        return Some(Obstacle::SsoRequired);
    }
    if settings.require_mfa && !proved(ONE_TIME_CODE) && !proved(SEVERAL_FACTORS) {
        return Some(Obstacle::MfaRequired);
    }
    None
}

/// Whether a member is the break-glass admin: named in the settings, and still an admin.
#[must_use]
pub fn breaks_glass(organization: &Organization, member: &Member) -> bool {
    organization.settings.break_glass_user_id == Some(member.user_id) && member.role == Some(Role::Admin)
}

/// Whether an organization admits people with this e-mail address.
#[must_use]
pub fn admits_domain(organization: &Organization, email: &str) -> bool {
    let allowed = &organization.settings.allowed_domains;
    allowed.is_empty() || is_of_domain(allowed, email)
}

/// Whether an e-mail address is of one of `domains`, itself and not something below it.
#[must_use]
pub fn is_of_domain(domains: &[String], email: &str) -> bool {
    let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
    domains.iter().any(|it| it == domain)
}

/// Whether an address is in one of the networks, or none is named. An IPv4 address in IPv6 clothing counts as what it is.
#[must_use]
pub fn admits_address(networks: &[String], from: IpAddr) -> bool {
    let from = from.to_canonical();
    networks.is_empty()
        || networks.iter().filter_map(|it| it.parse::<IpNet>().ok()).any(|network| network.contains(&from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Ids;
    use store::{MemberStatus, Settings};

    fn session(amr: &[&str]) -> (SessionCredential, Standing) {
        let now = clock::utc(2026, 11, 22, 12, 0);
        let ids = Ids::new(clock::Clock::manual(now).0);
        let (organization, user) = (ids.next(), ids.next());
        let session = SessionCredential {
            session_id: ids.next(),
            organization_id: organization,
            user_id: user,
            email: "ada@example.com".to_owned(),
            epoch: 0,
            generation: 7,
            authenticated_at: now,
            amr: amr.iter().map(|method| (*method).to_owned()).collect(),
        };
        let member = Member {
            user_id: user,
            email: session.email.clone(),
            name: "Ada".to_owned(),
            role: Some(Role::Admin),
            workspace_roles: Vec::new(),
            status: MemberStatus::Active,
            address_proved: true,
            generation: 7,
            created_at: now,
            updated_at: now,
        };
        let organization = Organization::founded(organization, "Acme".to_owned(), now);
        (session, Standing { organization: Some(organization), member: Some(member), epoch: 0 })
    }

    fn judged(amr: &[&str], alter: impl FnOnce(&mut Standing, &SessionCredential)) -> Option<Obstacle> {
        let (session, mut standing) = session(amr);
        alter(&mut standing, &session);
        judge(&session, &standing, session.authenticated_at + Duration::from_secs(600))
    }

    fn settings(standing: &mut Standing) -> &mut Settings {
        &mut standing.organization.as_mut().unwrap().settings
    }

    #[test]
    fn what_the_session_proved_is_what_counts() {
        let mfa = |standing: &mut Standing, _: &SessionCredential| settings(standing).require_mfa = true;
        assert_eq!(judged(&["pwd"], |_, _| {}), None);
        assert_eq!(judged(&["pwd"], mfa), Some(Obstacle::MfaRequired));
        assert_eq!(judged(&["pwd", "otp"], mfa), None);
        assert_eq!(judged(&["sso"], mfa), Some(Obstacle::MfaRequired));
        assert_eq!(judged(&["sso", "mfa"], mfa), None);
        let sso = |standing: &mut Standing, _: &SessionCredential| settings(standing).require_sso = true;
        assert_eq!(judged(&["pwd", "otp"], sso), Some(Obstacle::SsoRequired));
        assert_eq!(judged(&["sso"], sso), None);
    }

    #[test]
    fn a_session_is_over_when_its_person_is_out() {
        assert_eq!(judged(&["pwd"], |standing, _| standing.member = None), Some(Obstacle::Over));
        assert_eq!(judged(&["pwd"], |standing, _| standing.organization = None), Some(Obstacle::Over));
        assert_eq!(judged(&["pwd"], |standing, _| standing.epoch = 1), Some(Obstacle::Over));
        let deactivated = |standing: &mut Standing, _: &SessionCredential| {
            standing.member.as_mut().unwrap().status = MemberStatus::Deactivated;
        };
        assert_eq!(judged(&["pwd"], deactivated), Some(Obstacle::Over));
        let aged = |most| {
            move |standing: &mut Standing, _: &SessionCredential| {
                settings(standing).session_max_age_seconds = Some(most);
            }
        };
        assert_eq!(judged(&["pwd"], aged(600)), Some(Obstacle::Over));
        assert_eq!(judged(&["pwd"], aged(601)), None);
    }

    #[test]
    fn the_break_glass_admin_is_spared_everything_but_the_second_factor() {
        let locked = |standing: &mut Standing, session: &SessionCredential| {
            let settings = settings(standing);
            settings.require_sso = true;
            settings.allowed_domains = vec!["other.example".to_owned()];
            settings.break_glass_user_id = Some(session.user_id);
        };
        assert_eq!(judged(&["pwd"], locked), None);
        let strict = |standing: &mut Standing, session: &SessionCredential| {
            locked(standing, session);
            settings(standing).require_mfa = true;
        };
        assert_eq!(judged(&["pwd"], strict), Some(Obstacle::MfaRequired));
    }

    #[test]
    fn domains_and_networks_are_compared_whole() {
        let only = |domain: &'static str| {
            move |standing: &mut Standing, _: &SessionCredential| {
                settings(standing).allowed_domains = vec![domain.to_owned()];
            }
        };
        assert_eq!(judged(&["pwd"], only("example.com")), None);
        for other in ["xample.com", "com", "mail.example.com", "example.com.evil.test"] {
            assert_eq!(judged(&["pwd"], only(other)), Some(Obstacle::DomainNotAllowed), "{other}");
        }
        let networks = ["203.0.113.0/24".to_owned(), "2001:db8::/32".to_owned()];
        for (address, expected) in [
            ("203.0.113.7", true),
            ("203.0.114.7", false),
            ("::ffff:203.0.113.7", true),
            ("2001:db8::1", true),
            ("::1", false),
        ] {
            assert_eq!(admits_address(&networks, address.parse().unwrap()), expected, "{address}");
        }
        assert!(admits_address(&[], "::1".parse().unwrap()));
        assert!(!admits_address(&["nonsense".to_owned()], "::1".parse().unwrap()));
    }
}
