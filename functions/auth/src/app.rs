//! The rules of identity: who somebody is, what they have proved, and where they may go with it.

pub(crate) mod invitation;
pub(crate) mod joining;
pub(crate) mod mfa;
pub(crate) mod password;
pub(crate) mod session;
pub(crate) mod sign_in;
pub(crate) mod sign_up;
pub(crate) mod sso;

use ids::UserId;
use store::Actor;

/// Who an audit record about a person's session names.
pub(crate) fn person(id: UserId, email: &str) -> Actor {
    Actor { r#type: "user".to_owned(), id: id.to_string(), email: Some(email.to_owned()) }
}
