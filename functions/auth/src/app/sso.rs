//! Signing on through an organization's identity provider: what its word is worth.

use access::policy;
use clock::Timestamp;
use ids::Ids;
use input::Text;
use store::{Identity, SsoConnection};

use crate::app::joining::{Seat, made_over};

/// How many sign-ons from one place a window lets begin: a whole office may come from one.
pub(crate) const MOST_STARTS: u64 = 300;

/// What people know (RFC 8176).
const KNOWN: [&str; 3] = ["pwd", "pin", "kba"];
/// What they have.
const HELD: [&str; 7] = ["otp", "hwk", "swk", "sc", "sms", "tel", "pop"];
/// What they are.
const BORNE: [&str; 5] = ["face", "fpt", "iris", "retina", "vbm"];
/// OpenID Provider Authentication Policy Extension 1.0, section 4.
const MULTI_FACTOR: &str = "http://schemas.openid.net/pape/policies/2007/06/multi-factor";

/// What a session proves that an identity provider vouches for: that, and that it asked for several factors if it says so,
/// in so many words or by naming factors of different kinds. Its word binds its own organization only.
pub(crate) fn proved(amr: &[String], acr: Option<&str>) -> Vec<&'static str> {
    let named = |kind: &[&str]| usize::from(amr.iter().any(|method| kind.contains(&method.as_str())));
    let several = amr.iter().any(|method| method == policy::SEVERAL_FACTORS)
        || acr == Some(MULTI_FACTOR)
        || named(&KNOWN) + named(&HELD) + named(&BORNE) > 1;
    let mut proved = vec![policy::SINGLE_SIGN_ON];
    proved.extend(several.then_some(policy::SEVERAL_FACTORS));
    proved
}

/// The seat of who joins by signing on.
pub(crate) fn seat(connection: &SsoConnection) -> Seat {
    Seat { role: connection.default_role, workspace: connection.default_workspace_id }
}

/// The identity of who signed on: the one there is, a new one, or one that somebody made before its address was proved to
/// be anybody's.
pub(crate) fn identity(
    before: Option<&Identity>,
    email: &str,
    name: Option<&str>,
    ids: &Ids,
    now: Timestamp,
) -> Identity {
    let local = email.split('@').next().unwrap_or(email);
    let name = name.and_then(|name| Text::up_to(100).check(name).ok()).unwrap_or_else(|| local.to_owned());
    match before {
        Some(before) if before.email_verified => before.clone(),
        Some(before) => made_over(before, name, None, now),
        None => Identity {
            user_id: ids.next(),
            email: email.to_owned(),
            name,
            password_hash: None,
            email_verified: true,
            made_over_at: None,
            second_factor: None,
            epoch: 0,
            created_at: now,
            updated_at: now,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_factors_are_said_or_of_different_kinds() {
        let several = |amr: &[&str], acr: Option<&str>| {
            let amr: Vec<String> = amr.iter().map(|method| (*method).to_owned()).collect();
            proved(&amr, acr).contains(&"mfa")
        };
        assert!(several(&["mfa"], None) && several(&["pwd", "otp"], None) && several(&["pin", "fpt"], None));
        assert!(several(&[], Some(MULTI_FACTOR)));
        assert!(!several(&[], None) && !several(&["pwd"], Some("0")) && !several(&["pwd", "pin"], None));
        assert!(!several(&["otp", "sms"], None) && !several(&["nonsense", "pwd"], Some("high")));
    }
}
