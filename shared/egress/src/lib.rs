//! Sending to addresses that customers chose.
//!
//! **The threat.** Whoever may name a URL for us to post to or fetch from would have us reach what only we can reach:
//! instance metadata, the Lambda runtime API on loopback, hosts in a private network. Or they would have us wait, or
//! read, for ever.
//!
//! **The answer.** A [`Target`] is checked when it is saved and again before each attempt. Names are resolved by a
//! resolver of our own that hands the connector only addresses it has judged, and refuses the name if *any* of
//! them is forbidden, so there is no second lookup to rebind. No redirects, no proxies, ports 80, 443 and above
//! 1023. One deadline holds over DNS, connect, TLS, headers and body, and of an answer no more than 64 KiB is read and
//! 4 KiB kept, as text that every record takes.
//!
//! A [post](Sender::post) is a webhook: the status is the answer, and the beginning of the body is kept for people to
//! read. A [fetch](Sender::fetch) is after a document, and takes it whole or not at all.

mod address;
mod answer;
mod fetch;
mod resolve;
mod sender;
mod target;

pub use address::is_forbidden;
pub use answer::Answer;
pub use fetch::{Bounds, Document, Fetch, FetchError};
pub use sender::{Failure, Outcome, Sender};
pub use target::{Policy, Target, TargetError};
