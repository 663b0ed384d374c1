//! Domains that organizations claim, the TXT records that prove the claim, and the addresses of names.
//!
//! **The threat.** Who holds a domain decides how everybody with an address under it signs in. So somebody will claim
//! `gmail.com`, `co.uk`, or a name that only looks like another one; and will try to have a claim judged proven, or
//! a proof judged lost, by keeping DNS from answering.
//!
//! **The answer.** A [`Domain`] has one spelling, belongs to somebody (it lies below a public suffix), and
//! [knows](Domain::is_consumer) when it belongs to the users of a mail provider instead. A [`Resolver`] keeps three
//! answers apart: these are the records, there are none, and it could not be asked. The last is never a proof of
//! anything. Nothing is remembered between lookups: somebody who has just published a record is not told that it
//! was missing a minute ago. Addresses are not judged here; `egress` does that with every one it dials.

mod consumer;
mod domain;
mod resolver;

pub use domain::{Domain, DomainFault};
pub use resolver::{Resolver, SetupError, Unanswered};
