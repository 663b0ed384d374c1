//! One record: everything it says, what it changed, and the proof that it is what was written then.

use maud::{Markup, html};
use serde_json::Value;

use super::Record;
use super::record::{Change, in_words};
use super::seal::{Place, TEXT, file};
use crate::api::{Me, Request};
use crate::pages::Answer;
use crate::view::{
    At, Call, Icon, Page, Tone, as_code, badge, banner, copyable, facts, icon, id, lines, moment, precise,
    section, section_with, story,
};
use crate::visit::{Segment, Visit, href};

fn path(id: &str) -> String {
    format!("/api/admin/audit-logs/{id}")
}

pub(super) async fn one(visit: Visit, Segment(id): Segment) -> Answer {
    let (me, record) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<Record>(path(&id)))?;
    // Who may not see the log has been refused by now: once, as that goes on record.
    let place = Place::of(&visit.api, &id).await?;
    let body = html! {
        @if !record.success {
            (banner(Tone::Bad, html! { p { strong { "This was refused." } @if let Some(code) = &record.error_code { " The reason: " code { (code) } "." } } }))
        }
        (about(&visit, &me, &record))
        (section("What it changed", changes(&record.changes)))
        (proof_of(&record, &place))
        (as_code(&visit, &Call::new("GET", path(&record.id), "audit_logs:read")))
    };
    let lead =
        html! { (record.actor.name()) ", " (moment(visit.now(), record.timestamp)) " " (record.outcome()) };
    let actions = html! { (story(&record.request_id)) };
    Ok(Page::new(&visit, &me, At::Audit, in_words(&record.action))
        .below("Audit log", "/console/audit")
        .lead(lead)
        .actions(actions)
        .show(body))
}

fn about(visit: &Visit, me: &Me, record: &Record) -> Markup {
    let search = |name: &str, value: &str, words: &str| html! { a class="quiet" href=(href("/console/audit", [(name, value)])) { (words) } };
    let marks = record.marks();
    section(
        "What is on record",
        facts([
            (
                "Action",
                html! { code { (record.action) } br; (search("action", &record.action, "Others like it")) },
            ),
            (
                "By",
                html! { (record.actor.link()) " " span class="hint" { (record.actor.r#type.replace('_', " ")) } br; (search("actor", &record.actor.id, "What else they did")) },
            ),
            (
                "To",
                html! { (record.resource()) @if let Some(thing) = record.resource_id.as_deref().filter(|id| !id.is_empty()) { br; (search("resource_id", thing, "What else was done to it")) } },
            ),
            (
                "When",
                html! { (precise(record.timestamp)) br; span class="hint" { (moment(visit.now(), record.timestamp)) } },
            ),
            (
                "From the address",
                html! { @if record.ip_address.is_empty() { "Artisan itself" } @else { code { (record.ip_address) } } },
            ),
            (
                "By means of",
                html! { @match &record.user_agent { Some(agent) => (agent), None => span class="hint" { "not told" } } },
            ),
            (
                "In the workspace",
                html! { @match &record.workspace_id { Some(workspace) => a href={ "/console/workspaces/" (workspace) } { (me.workspace_name(workspace)) }, None => "None: the organization as a whole" } },
            ),
            ("In the request", html! { (id(&record.request_id)) br; (story(&record.request_id)) }),
            ("Outcome", record.outcome()),
            (
                "Marks",
                html! { @if marks.is_empty() { span class="hint" { "none" } } @for mark in &marks { (badge(Tone::Quiet, mark)) " " } },
            ),
            ("Record", id(&record.id)),
            (
                "Place in the log",
                html! { @match record.leaf_index { Some(index) => (index), None => "not sealed yet" } },
            ),
        ]),
    )
}

/// The fields that were changed, before and after.
fn changes(changes: &[Change]) -> Markup {
    html! {
        @if changes.is_empty() {
            p class="hint" { "No field: what was done is all there is to it." }
        } @else {
            div class="diff" role="table" aria-label="Fields, before and after" {
                div role="row" class="hint" { span role="columnheader" { "Field" } span role="columnheader" { "Before" } span role="columnheader" { "After" } }
                @for change in changes {
                    div role="row" {
                        code role="rowheader" { (change.field) }
                        (side("before", "− ", change.before.as_ref()))
                        (side("after", "+ ", change.after.as_ref()))
                    }
                }
            }
            p class="hint" { "Of leads, fields are named and their values are not shown. Secrets are never on record." }
        }
    }
}

fn side(class: &str, sign: &str, value: Option<&Value>) -> Markup {
    html! {
        @match value {
            Some(value) if !value.is_null() => span class=(class) role="cell" { span aria-hidden="true" { (sign) } (plain(value)) },
            _ => span class="hint" role="cell" { "nothing, or not shown" },
        }
    }
}

/// A value as people read it: a text without quotes, anything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn proof_of(record: &Record, place: &Place) -> Markup {
    let below = |name: &str| format!("/console/audit/{}/{name}", record.id);
    let command = lines([
        "artisan-verify \\".to_owned(),
        format!("  --proof {}.tlog-proof \\", record.id),
        format!("  --entry {}.json \\", record.id),
        "  --key keys.txt".to_owned(),
    ]);
    let files = html! {
        a class="button small" href=(below("proof")) { (icon(Icon::Download)) "Proof" }
        a class="button small" href=(below("entry")) { (icon(Icon::Download)) "Entry" }
        a class="button small" href="/console/audit/checkpoint" { (icon(Icon::Download)) "Checkpoint" }
        a class="button small" href="/console/audit/keys" { (icon(Icon::Key)) "Keys" }
    };
    match place {
        Place::Unsealed => section(
            "Proof",
            html! {
                (banner(Tone::Busy, html! { p { "Not sealed yet. Records are sealed within a minute; load the page anew for the proof." } }))
            },
        ),
        Place::Broken(why) => section_with(
            "Proof",
            files,
            html! {
                (banner(Tone::Bad, html! { p { strong { "The proof of this record does not hold." } " " (why) "." } p { "What is shown above may not be what was written then." } }))
            },
        ),
        Place::Proved { index, checkpoint } => section_with(
            "Proof",
            files,
            html! {
                (banner(Tone::Good, html! { p { strong { "Verified." } " This is at place " (index) ", counted from 0, among the " (checkpoint.size) " records of the log " code { (checkpoint.origin) } ", as it was written then. Its way to the signed head of the log was checked for this page." } }))
                p { "To check it without us: download proof, entry and keys into one folder, and run this there. It needs no network and no account." }
                (copyable(&command))
                p class="hint" { "The entry has hashes in the places of personal values; the proof brings the values, as far as nobody has erased them." }
            },
        ),
    }
}

pub(super) async fn proof(visit: Visit, Segment(id): Segment) -> Answer {
    let proof = visit.api.send(Request::get(format!("{}/proof", path(&id)))).await?;
    Ok(file(proof, &format!("{id}.tlog-proof"), TEXT))
}

pub(super) async fn entry(visit: Visit, Segment(id): Segment) -> Answer {
    let entry = visit.api.send(Request::get(format!("{}/entry", path(&id)))).await?;
    Ok(file(entry, &format!("{id}.json"), "application/json"))
}
