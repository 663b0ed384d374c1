//! Who may do what.
//!
//! [`permission`] is the matrix of roles and permissions, [`api_key`] the format of keys, [`session`] that of
//! tokens, [`policy`] what an organization asks of a session, and [`Gate`] turns an `Authorization` header into a [`Caller`] with one round trip to the store.

pub mod api_key;
mod gate;
mod one_time;
pub mod permission;
pub mod policy;
pub mod session;

pub use gate::{Caller, CallerKind, Gate, Known, PersonalStanding, Turned};
pub use one_time::{OneTimeKind, OneTimeToken};
pub use permission::{Action, Grants, Permission, Permit, Resource};
pub use policy::Obstacle;
