//! Who may do what.
//!
//! [`permission`] is the matrix of roles and permissions, [`api_key`] the format of keys, [`session`] that of
//! tokens, and [`Gate`] turns an `Authorization` header into a [`Caller`] with one call to the store.

pub mod api_key;
mod gate;
pub mod permission;
pub mod session;

pub use gate::{Caller, CallerKind, Gate, Known, Turned};
pub use permission::{Action, Grants, Permission, Permit, Resource};
