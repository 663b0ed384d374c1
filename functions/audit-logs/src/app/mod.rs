//! The rules of the audit log and of privacy.

pub(crate) mod exports;
pub(crate) mod privacy;
pub(crate) mod proofs;
