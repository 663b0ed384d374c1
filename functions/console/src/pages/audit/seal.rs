//! The seal on the log: how far it is signed, and whether that holds.
//!
//! The console checks what the API gives it (signature, and the way from a record to the root), and says so. Who trusts neither
//! checks it themselves, with the files that are here to download and the tool for it.

use axum::response::{IntoResponse as _, Response};
use clock::Timestamp;
use http::{HeaderMap, HeaderValue, header};
use maud::{Markup, html};
use tlog::{Checkpoint, Proof, VerifierKey};

use super::Record;
use crate::api::{self, Asked, Caller, Failure, List, Request};
use crate::pages::Answer;
use crate::view::{Icon, Tone, badge, copyable, exact, icon, moment};
use crate::visit::Visit;

const CHECKPOINT: &str = "/api/admin/audit-logs/checkpoint";
const KEYS: &str = "/api/admin/audit-logs/checkpoint/keys";

/// How far the log is sealed.
pub(super) enum Seal {
    /// Nothing is sealed yet.
    None,
    /// The checkpoint is signed by the log.
    Holds { checkpoint: Checkpoint, newest: Option<Timestamp> },
    /// The checkpoint is not what the log's keys signed.
    Broken(String),
}

impl Seal {
    /// The seal as it is now.
    pub(super) async fn of(api: &Caller) -> Result<Self, Failure> {
        let newest = Request::get("/api/admin/audit-logs").query("limit", "25");
        let (checkpoint, keys, newest) = tokio::try_join!(
            found(api.send(Request::get(CHECKPOINT))),
            found(api.send(Request::get(KEYS))),
            api.ask::<List<Record>>(newest),
        )?;
        let (Some(checkpoint), Some(keys)) = (checkpoint, keys) else { return Ok(Self::None) };
        Ok(match Checkpoint::open(&text(&checkpoint), &read_keys(&text(&keys))) {
            Ok(checkpoint) => {
                let newest = newest.data.iter().find(|record| record.leaf_index.is_some());
                Self::Holds { newest: newest.map(|record| record.timestamp), checkpoint }
            }
            Err(error) => Self::Broken(error.to_string()),
        })
    }

    /// What there is to say of it above the records.
    pub(super) fn show(&self, visit: &Visit) -> Markup {
        match self {
            Self::None => {
                html! { p class="seal" { (badge(Tone::Quiet, "Not sealed yet")) span class="hint" { "Records are sealed within a minute." } } }
            }
            Self::Broken(why) => html! {
                div class="banner bad" role="alert" { (icon(Icon::Warning)) div {
                    p { strong { "The seal on the log does not hold." } " " (why) "." }
                    p { "Keep what you have exported, and look for records of " code { "audit_log.tamper" } "." }
                } }
            },
            Self::Holds { checkpoint, newest } => html! {
                details class="seal" {
                    summary {
                        span class="badge good" { (icon(Icon::Shield)) "Verified up to record " (checkpoint.size) }
                        @if let Some(at) = newest { span class="hint" { "of " (moment(visit.now(), *at)) } }
                    }
                    div class="card stack" {
                        p { "The log of this organization has " strong { (checkpoint.size) " sealed records" }
                            @if let Some(at) = newest { ", the latest of " (exact(*at)) }
                            ". Its head is signed, and the signature was checked for this page: none of them can be changed, removed or reordered without that being seen." }
                        p { "The log is " code { (checkpoint.origin) } ". To rely on nobody, get the key once and keep it apart, export, and verify offline:" }
                        (copyable("artisan-verify export.ndjson --key keys.txt"))
                        p { "Keep a checkpoint now and then. It shows later that the log still begins as it does today:" }
                        (copyable("artisan-verify export.ndjson --key keys.txt --checkpoint checkpoint.txt"))
                        div class="actions" {
                            a class="button small" href="/console/audit/keys" { (icon(Icon::Key)) "keys.txt" }
                            a class="button small" href="/console/audit/checkpoint" { (icon(Icon::Download)) "checkpoint.txt" }
                        }
                    }
                }
            },
        }
    }
}

/// What is known of a record's place in the log.
pub(super) enum Place {
    /// It is not sealed yet.
    Unsealed,
    /// It is at this place in a log of this size, and the proof of it holds.
    Proved { index: u64, checkpoint: Checkpoint },
    /// The proof does not hold.
    Broken(String),
}

impl Place {
    /// Asks for the proof of a record and checks it.
    pub(super) async fn of(api: &Caller, id: &str) -> Result<Self, Failure> {
        let asked = tokio::try_join!(
            sealed(api.send(Request::get(format!("/api/admin/audit-logs/{id}/proof")))),
            api.send(Request::get(format!("/api/admin/audit-logs/{id}/entry"))),
            found(api.send(Request::get(KEYS))),
        );
        let (proof, entry, keys) = match asked {
            Ok((Some(proof), entry, Some(keys))) => (proof, entry, keys),
            Ok(_) => return Ok(Self::Unsealed),
            // The API gives out no proof that does not hold.
            Err(failure) if failure.problem().is_some_and(|problem| problem.status == 500) => {
                return Ok(Self::Broken("the log has no proof of it that holds".to_owned()));
            }
            Err(failure) => return Err(failure),
        };
        Ok(match text(&proof).parse::<Proof>() {
            Ok(proof) => match proof.verify(&entry.body, &read_keys(&text(&keys))) {
                Ok(checkpoint) => Self::Proved { index: proof.index, checkpoint },
                Err(error) => Self::Broken(error.to_string()),
            },
            Err(error) => Self::Broken(error.to_string()),
        })
    }
}

/// What is there, if it is.
async fn found(asked: impl Future<Output = Result<Asked, Failure>>) -> Result<Option<Asked>, Failure> {
    api::found(asked.await)
}

/// What there is of a record that is sealed; nothing of one that is not.
async fn sealed(asked: impl Future<Output = Result<Asked, Failure>>) -> Result<Option<Asked>, Failure> {
    match asked.await {
        Ok(asked) => Ok(Some(asked)),
        Err(failure) if failure.problem().is_some_and(|problem| problem.status == 409) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn text(asked: &Asked) -> String {
    String::from_utf8_lossy(&asked.body).into_owned()
}

/// Keys, one a line. What is none verifies nothing.
fn read_keys(text: &str) -> Vec<VerifierKey> {
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// An answer of the API, as a file to keep, byte for byte.
pub(super) fn file(asked: Asked, name: &str, media_type: &'static str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    // Names are ours and ids: nothing in them needs quoting.
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    (headers, asked.body).into_response()
}

pub(super) const TEXT: &str = "text/plain; charset=utf-8";

pub(super) async fn checkpoint(visit: Visit) -> Answer {
    Ok(file(visit.api.send(Request::get(CHECKPOINT)).await?, "checkpoint.txt", TEXT))
}

pub(super) async fn keys(visit: Visit) -> Answer {
    Ok(file(visit.api.send(Request::get(KEYS)).await?, "keys.txt", TEXT))
}
