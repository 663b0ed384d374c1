//! Mails: what they say, how they are sealed, and the queue they wait in.
//!
//! A [`Letter`] is one of the mails that Artisan sends; there are no others. It becomes a [`Mail`] (plain text) only
//! when it is sent. Until then it is a [`MailJob`], sealed by a [`MailSeal`], because it may carry a token that opens
//! an account: neither the queue nor a table ever holds one that can be read.
//!
//! There are two ways to the queue. A mail that follows from a change is written with it
//! ([`MailSeal::outgoing`], then `store::Change::mailing`) and goes out exactly if the change is committed. A mail
//! that follows from no change is put on the queue directly ([`MailQueue::send`]).
//!
//! Promises: what a caller chose (names, domains) can neither add a header nor make a link, and no mail is longer than
//! a person would read. Sends nothing itself: that is the `mail` function.

mod job;
mod letter;
mod plain;
mod queue;

pub use job::{MailJob, MailSeal};
pub use letter::{BaseUrl, EndpointNews, InvalidBaseUrl, KeyLabel, Letter, Mail, Token};
pub use queue::{MailQueue, QueueError};
