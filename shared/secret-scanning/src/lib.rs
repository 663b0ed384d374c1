//! Reports of leaked secrets in the form of GitHub's secret scanning partner program: whether GitHub signed them.
//!
//! A report is a POST whose raw body is signed: ECDSA on P-256 with SHA-256, the signature as ASN.1 DER in Base64 in
//! [`SIGNATURE_HEADER`], made with the published key that [`IDENTIFIER_HEADER`] names.
//! <https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partnership-program/secret-scanning-partner-program>
//!
//! **The threat.** Anybody can send a report. A forged one would have keys revoked that somebody knows, or have us ask for
//! keys, compute and read without end; an altered one would put words in the mails to admins.
//!
//! **The answer.** A report is believed only with a signature, over the very bytes that came, of a key that is published at
//! the address the deployment names. Headers that cannot be right are refused before anything else is done. Everything else
//! costs one verification, and, for a key that is not known, at most one look a minute at what is published
//! ([`REFETCH_INTERVAL`]), through [`egress`]: judged addresses, no redirects, a deadline, a bound on the body.
//!
//! A signature says nothing about when it was made, so a report can be sent again by whoever has seen it. Whoever acts on
//! reports acts once.
//!
//! **Never:** a key that the request brings along; another algorithm; a look at the body before its signature is verified.

mod keys;
mod verifier;

pub use verifier::{IDENTIFIER_HEADER, REFETCH_INTERVAL, SIGNATURE_HEADER, Signature, Verifier, VerifyError};
