//! Signing in: where to, and how guessing is slowed.

use std::net::IpAddr;
use std::time::Duration;

use ids::OrganizationId;
use problem::Problem;
use store::{Identity, IdentityMembership};

/// How many attempts a window hears.
pub(crate) const MOST_ATTEMPTS: u64 = 10;
/// How long an address that somebody signed in from is remembered as theirs.
pub(crate) const FAMILIAR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How many memberships are looked at when nobody says which.
const MOST_LOOKED_AT: usize = 16;

/// The organizations a person may sign in to, the likeliest first: the one they name, else all that they joined themselves,
/// beginning with the one they have been in longest.
///
/// Whoever had made the identity before it was made over chose what it was in until then: somebody who waits there for its
/// owner must not be met without being named, unless there is nothing else. Most of those who never confirmed their address
/// and reset their password are themselves, after all.
///
/// # Errors
/// 401 when they name one that isn't theirs: the same as for a wrong password.
pub(crate) fn candidates(
    identity: &Identity,
    memberships: &[IdentityMembership],
    named: Option<OrganizationId>,
) -> Result<Vec<OrganizationId>, Problem> {
    let sorted = sorted(memberships);
    match named {
        None => {
            let (own, before): (Vec<_>, Vec<_>) = sorted.into_iter().partition(|it| is_own(identity, it));
            let likely = if own.is_empty() { before } else { own };
            Ok(likely.into_iter().take(MOST_LOOKED_AT).map(|it| it.organization_id).collect())
        }
        Some(named) if sorted.iter().any(|it| it.organization_id == named) => Ok(vec![named]),
        Some(_) => Err(Problem::InvalidCredentials),
    }
}

/// The organization whose audit log tells of what a person does before they are in any: of those they joined themselves the
/// one they have been in longest, else of the others.
pub(crate) fn home(identity: &Identity, memberships: &[IdentityMembership]) -> Option<OrganizationId> {
    let sorted = sorted(memberships);
    let own = sorted.iter().find(|it| is_own(identity, it));
    own.or_else(|| sorted.first()).map(|it| it.organization_id)
}

/// The one they have been in longest comes first.
fn sorted(memberships: &[IdentityMembership]) -> Vec<&IdentityMembership> {
    let mut sorted: Vec<_> = memberships.iter().collect();
    sorted.sort_unstable_by_key(|membership| (membership.created_at, membership.organization_id));
    sorted
}

/// Whether a membership is not from before the identity was made over to whose it is.
fn is_own(identity: &Identity, membership: &IdentityMembership) -> bool {
    identity.made_over_at.is_none_or(|at| membership.created_at >= at)
}

/// Where a request comes from, as far as attempts are counted: an IPv4 address, or the /64 that one customer of a provider
/// has of IPv6 and can take any address of.
pub(crate) fn origin(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// What the attempts at a password are counted under: names, of which digests are made.
///
/// The account's name has its epoch in it, so that resetting the password, which begins a new one, also begins to count
/// anew. From where somebody signed in lately they have a counter of their own: whoever guesses elsewhere can't keep them
/// out. An address nobody has is counted just as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counters {
    /// The account, or the account as seen from a familiar place.
    pub(crate) account: String,
    /// The place; does not decide when it is familiar.
    pub(crate) place: String,
    /// Whether it is.
    pub(crate) familiar: bool,
}

impl Counters {
    pub(crate) fn of(email: &str, epoch: u64, from: IpAddr, familiar: bool) -> Self {
        let origin = origin(from);
        let account = match familiar {
            true => format!("password/{epoch}/{email}/{origin}"),
            false => format!("password/{epoch}/{email}"),
        };
        Self { account, place: format!("password-from/{origin}"), familiar }
    }
}

/// The name under which it is remembered that somebody signed in from a place.
pub(crate) fn familiarity(email: &str, from: IpAddr) -> String {
    format!("familiar/{email}/{}", origin(from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Ids;

    #[test]
    fn the_named_organization_is_chosen_else_the_oldest_comes_first() {
        let (clock, hand) = clock::Clock::manual(clock::utc(2026, 11, 22, 15, 0));
        let ids = Ids::new(clock.clone());
        let mut memberships: Vec<_> = (0..3)
            .map(|_| {
                hand.advance(Duration::from_secs(1));
                IdentityMembership { organization_id: ids.next(), created_at: clock.now() }
            })
            .collect();
        let [first, second, third] = [0, 1, 2].map(|index: usize| memberships[index].organization_id);
        memberships.reverse();
        let mut identity = Identity {
            user_id: ids.next(),
            email: "ada@example.com".to_owned(),
            name: "Ada".to_owned(),
            password_hash: None,
            email_verified: true,
            made_over_at: None,
            second_factor: None,
            epoch: 0,
            created_at: clock.now(),
            updated_at: clock.now(),
        };
        let candidates = |identity: &Identity, named| candidates(identity, &memberships, named);
        assert_eq!(candidates(&identity, None), Ok(vec![first, second, third]));
        assert_eq!(candidates(&identity, Some(second)), Ok(vec![second]));
        assert_eq!(candidates(&identity, Some(ids.next())), Err(Problem::InvalidCredentials));
        assert_eq!(home(&identity, &memberships), Some(first));
        assert_eq!(home(&identity, &[]), None);
        // What was joined before the identity was made over is left out, unless it is named.
        identity.made_over_at = Some(memberships[1].created_at);
        assert_eq!(candidates(&identity, None), Ok(vec![second, third]));
        assert_eq!(candidates(&identity, Some(first)), Ok(vec![first]));
        assert_eq!(home(&identity, &memberships), Some(second));
        identity.made_over_at = Some(clock.now() + Duration::from_millis(1));
        // There is nothing else.
        assert_eq!(candidates(&identity, None), Ok(vec![first, second, third]));
        assert_eq!(home(&identity, &memberships), Some(first));
    }

    #[test]
    fn neighbours_in_a_64_are_one_place() {
        let origin = |text: &str| origin(text.parse().unwrap());
        assert_eq!(origin("2001:db8:1:2::1"), origin("2001:db8:1:2:ffff::9"));
        assert_ne!(origin("2001:db8:1:2::1"), origin("2001:db8:1:3::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_new_epoch_begins_to_count_anew_and_a_familiar_place_has_a_count_of_its_own() {
        let of =
            |epoch, familiar| Counters::of("a@b.co", epoch, "192.0.2.1".parse().unwrap(), familiar).account;
        assert_ne!(of(0, false), of(1, false));
        assert_ne!(of(0, false), of(0, true));
    }
}
