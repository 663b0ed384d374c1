//! What is held about a person: given out, or erased.

use std::collections::BTreeMap;

use axum::response::Response;
use clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{lacking, page, settings_tabs};
use crate::api::{Failure, Me, Request};
use crate::pages::Answer;
use crate::view::{
    Call, Faults, Field, Icon, Tone, as_code, banner, choice, done, exact, facts, fragment, go, icon, id,
    link_if, moment, once, progress, section, section_with, status, story, text,
};
use crate::visit::{Fields, Params, Segment, Visit, Watch};

const EXPORTS: &str = "/api/admin/privacy/exports";
const ERASURES: &str = "/api/admin/privacy/erasures";

/// An export of a person, or an erasure, as the API tells of it.
#[derive(Debug, Clone, Deserialize)]
struct Job {
    id: String,
    status: String,
    #[serde(default)]
    named_by: String,
    #[serde(default)]
    progress: Option<Progress>,
    #[serde(default)]
    erased: BTreeMap<String, u64>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    links: Option<Links>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    requested_by: String,
    created_at: Timestamp,
    #[serde(default)]
    finished_at: Option<Timestamp>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
struct Progress {
    records: u64,
    #[serde(default)]
    total: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
struct Links {
    file: String,
    expires_at: Timestamp,
}

impl Job {
    fn is_over(&self) -> bool {
        !matches!(self.status.as_str(), "queued" | "running")
    }
}

/// A person as the API has them named: by the address, or by the id of a member or a lead.
fn named(person: &str) -> Value {
    if person.starts_with("usr_") {
        json!({"user_id": person})
    } else if person.starts_with("lead_") {
        json!({"lead_id": person})
    } else {
        json!({"email": person})
    }
}

/// What is wrong with how a person was named, whatever the API calls the field.
fn fault(faults: &Faults) -> Option<&str> {
    ["/email", "/user_id", "/lead_id"].into_iter().find_map(|pointer| faults.of_field(pointer))
}

fn person<'a>(value: &'a str, faults: &'a Faults) -> Field<'a> {
    Field::new("person", "Who")
        .value(value)
        .fault(fault(faults))
        .hint("Their e-mail address, or the id of a member (usr_…) or a lead (lead_…).")
}

pub(super) async fn show(visit: Visit, params: Params) -> Answer {
    if let Some(job) = params.filled("id").filter(|job| is_id(job)) {
        let kind = if params.get("kind") == "erasure" { "erasures" } else { "exports" };
        return Ok(go(&format!("/console/settings/privacy/{kind}/{job}")));
    }
    let me = Me::of(&visit.api).await?;
    let is_strange = params.filled("id").is_some();
    Ok(shown(&visit, &me, "", &Faults::default(), is_strange))
}

fn is_id(job: &str) -> bool {
    job.starts_with("exp_") && job.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn shown(visit: &Visit, me: &Me, entered: &str, faults: &Faults, is_strange: bool) -> Response {
    let may = me.may("privacy:read");
    let example = if entered.is_empty() { "ada@example.com" } else { entered };
    let body = html! {
        (settings_tabs("Privacy"))
        (faults.summary(&["/email", "/user_id", "/lead_id"]))
        (section("Give out what is held about a person", html! {
            (lacking(may, "privacy:read"))
            p { "One JSON document with membership, account, sessions, invitations, leads of all workspaces with replies and meetings, events, and audit records by and about them. Made in the background, and kept for seven days." }
            form class="stack" method="post" action="/console/settings/privacy/exports" {
                (once(visit))
                (text("text", person(entered, faults)))
                div class="actions" { button class="button primary" disabled[!may] { "Make the export" } }
            }
        }))
        (section("Erase a person", html! {
            p { "Leads of their address in all workspaces go, with replies and meetings; invitations and waiting mails; and what events and the audit log say of them reads " code { "[erased]" } ". A page of its own asks again." }
            div class="actions" { (link_if(me.may("privacy:write"), "privacy:write", "/console/settings/privacy/erase", html! { "Erase a person" })) }
        }))
        (section("Follow a request", html! {
            p class="hint" { "There is no list of requests, so that nobody can read off it who asked. Those that were made are in "
                a href="/console/audit?action=privacy.export" { "the audit log (exports)" } " and "
                a href="/console/audit?action=privacy.erase" { "(erasures)" } "." }
            @if is_strange { (banner(Tone::Bad, html! { p { "That is no id of a request: it begins with " code { "exp_" } "." } })) }
            form class="filters" method="get" action="/console/settings/privacy" {
                (text("text", Field::new("id", "Id of the request")))
                (choice(Field::new("kind", "Kind"), [("export", "Export"), ("erasure", "Erasure")]))
                button class="button" { "Show" }
            }
        }))
        (as_code(visit, &Call::new("POST", EXPORTS, "privacy:read").body(named(example))))
    };
    page(visit, me, "Privacy")
        .lead(html! { "What to do when a person asks for their data, or asks to be forgotten." })
        .status(faults.status())
        .show(body)
}

/// The faults of a request about a person. That there is no such person is one, too.
fn faults_of(failure: Failure) -> Result<Faults, Failure> {
    match failure.problem() {
        Some(problem) if problem.status == 404 => Ok(Faults::at("/email", &problem.detail)),
        _ => Faults::of(failure),
    }
}

pub(super) async fn export(visit: Visit, fields: Fields) -> Answer {
    let me = Me::of(&visit.api).await?;
    let who = fields.get("person");
    match visit.api.ask::<Job>(Request::post(EXPORTS).once(fields.once()).json(&named(who))).await {
        Ok(job) => Ok(done(&format!("/console/settings/privacy/exports/{}", job.id), "privacy-asked")),
        Err(failure) => Ok(shown(&visit, &me, who, &faults_of(failure)?, false)),
    }
}

pub(super) async fn one_export(visit: Visit, Segment(job): Segment, watch: Watch) -> Answer {
    one(&visit, EXPORTS, &job, &watch).await
}

pub(super) async fn one_erasure(visit: Visit, Segment(job): Segment, watch: Watch) -> Answer {
    one(&visit, ERASURES, &job, &watch).await
}

async fn one(visit: &Visit, resource: &str, job: &str, watch: &Watch) -> Answer {
    let path = format!("{resource}/{job}");
    if watch.is_fragment {
        let job: Job = visit.api.get(path).await?;
        return Ok(fragment(watch, standing(visit, &job), job.is_over()));
    }
    let (me, job) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<Job>(path.as_str()))?;
    let (title, kind) = if resource == EXPORTS {
        ("Export of a person", "exports")
    } else {
        ("Erasure of a person", "erasures")
    };
    let here = format!("/console/settings/privacy/{kind}/{}", job.id);
    let body = html! {
        (section_with("Where it stands", story(&job.id), html! {
            @if job.is_over() { div { (standing(visit, &job)) } }
            @else {
                div class="stack" data-live=(here) data-every="3" { (standing(visit, &job)) }
                p class="live" { (icon(Icon::Live)) "This is kept fresh by itself; without a script, load the page again." }
            }
        }))
        (section("About", facts([
            ("Id", id(&job.id)),
            ("Named by", html! { (job.named_by.replace('_', " ")) }),
            ("Asked for", moment(visit.now(), job.created_at)),
            ("Asked by", html! { code { (job.requested_by) } }),
        ])))
        (as_code(visit, &Call::new("GET", path, "privacy:read")))
    };
    Ok(page(visit, &me, title)
        .below("Privacy", "/console/settings/privacy")
        .lead(html! { "Keep the id: there is no list of such requests." })
        .show(body))
}

/// How far it has come, and what came of it.
fn standing(visit: &Visit, job: &Job) -> Markup {
    let now = visit.now();
    html! {
        p { (status(&job.status)) " " @if let Some(at) = job.finished_at { span class="hint" { (moment(now, at)) } } }
        @if let Some(Progress { records, total }) = &job.progress { @if !job.is_over() { (progress("Records", *records, *total)) } }
        @if let Some(reason) = &job.reason { (banner(Tone::Bad, html! { p { "It failed: " (reason) } })) }
        @if !job.erased.is_empty() {
            (facts_of_erased(&job.erased))
        } @else if job.status == "done" && job.links.is_none() && job.size.is_none() {
            p { "Nothing was held about the person." }
        }
        @if let Some(links) = &job.links {
            div class="actions" { a class="button primary" href=(links.file) rel="noreferrer" { (icon(Icon::Download)) "Download" } }
            p class="hint" { "Whoever has the link has the file; it works until " (exact(links.expires_at)) ". That it was given out is on record." }
        }
        @if let Some(size) = job.size {
            p class="hint" { (size) " bytes" @if let Some(sum) = &job.sha256 { ", SHA-256 " code { (sum) } } @if let Some(at) = job.expires_at { ", deleted " (moment(now, at)) } "." }
        }
    }
}

fn facts_of_erased(erased: &BTreeMap<String, u64>) -> Markup {
    html! {
        h3 { "Erased" }
        dl class="facts" { @for (kind, count) in erased { div { dt { (kind.replace('_', " ")) } dd { (count) } } } }
    }
}

pub(super) async fn erase_form(visit: Visit) -> Answer {
    let me = Me::of(&visit.api).await?;
    Ok(show_erase(&visit, &me, "", &Faults::default()))
}

fn show_erase(visit: &Visit, me: &Me, entered: &str, faults: &Faults) -> Response {
    let may = me.may("privacy:write");
    let example = if entered.is_empty() { "ada@example.com" } else { entered };
    let body = html! {
        (faults.summary(&["/email", "/user_id", "/lead_id", "/confirm"]))
        (lacking(may, "privacy:write"))
        form class="card stack" method="post" action="/console/settings/privacy/erase" {
            (once(visit))
            p { "This cannot be undone. In all workspaces, in test and in live mode:" }
            ul class="plain-list" {
                li { "leads of the person's address go, with their replies and meetings;" }
                li { "invitations, waiting mails and remembered answers go;" }
                li { "what events say of the person reads " code { "[erased]" } ", and what receivers of webhooks answered to those is deleted;" }
                li { "in the audit log personal values read " code { "[erased]" } ", while its proofs hold;" }
                li { "all exports of the organization are deleted, as they may hold the person." }
            }
            p class="hint" { "A member must be removed first. What was sent to receivers of webhooks is with them: they have to be asked." }
            (text("text", person(entered, faults)))
            (text("text", Field::new("confirm", "The same once more, to be sure").fault(faults.of_field("/confirm"))))
            div class="actions" {
                button class="button danger" disabled[!may] { (icon(Icon::Cross)) "Erase the person" }
                a class="button" href="/console/settings/privacy" { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("POST", ERASURES, "privacy:write").body(named(example))))
    };
    page(visit, me, "Erase a person")
        .below("Privacy", "/console/settings/privacy")
        .status(faults.status())
        .show(body)
}

pub(super) async fn erase(visit: Visit, fields: Fields) -> Answer {
    let me = Me::of(&visit.api).await?;
    let who = fields.get("person");
    if fields.get("confirm") != who {
        let faults = Faults::at("/confirm", "That is somebody else than above.");
        return Ok(show_erase(&visit, &me, who, &faults));
    }
    match visit.api.ask::<Job>(Request::post(ERASURES).once(fields.once()).json(&named(who))).await {
        Ok(job) => Ok(done(&format!("/console/settings/privacy/erasures/{}", job.id), "privacy-asked")),
        Err(failure) => Ok(show_erase(&visit, &me, who, &faults_of(failure)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_named_in_one_way() {
        assert_eq!(named("usr_1"), json!({"user_id": "usr_1"}));
        assert_eq!(named("lead_1"), json!({"lead_id": "lead_1"}));
        assert_eq!(named("ada@example.com"), json!({"email": "ada@example.com"}));
    }

    #[test]
    fn an_id_leads_nowhere_else() {
        assert!(is_id("exp_01kaq8zr3y7e2r4m8n5p6q7s8t"));
        for other in ["", "usr_1", "exp_1/../x", "exp_1?x", "exp_ 1"] {
            assert!(!is_id(other), "{other}");
        }
    }
}
