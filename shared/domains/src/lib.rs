//! How an organization proves that a domain is its own, and how the proof is kept.
//!
//! The proof is a TXT record with a random value that only the claim knows of. It is looked for when somebody asks
//! ([`find`], then [`verified`]), and once a day from then on ([`recheck`], for the sweep). A record that is not there any
//! more starts a time of grace, in which the admins are told and everything stays as it was; when that is over the claim
//! lapses: the domain is free for others, and nobody new joins by it. People who are members stay members, and the
//! organization's `allowed_domains` stay as somebody set them: neither is taken from an organization by an outage of DNS
//! or by a mistake in a zone file.
//!
//! Not having been able to ask is never the same as not having found: whoever can keep DNS from answering must not be able
//! to end a claim by it.

mod proof;
mod recheck;

pub use proof::{GRACE, NEXT_CHECK, challenge, find, record_name, verified};
pub use recheck::{Checked, Recheck, RecheckError, recheck};
