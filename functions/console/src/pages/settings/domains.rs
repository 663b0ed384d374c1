//! Domains: claimed, proved by a DNS record, and what joins by them.

use axum::response::Response;
use clock::Timestamp;
use http::header;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{lacking, page, settings_tabs};
use crate::api::{Failure, List, Me, Request};
use crate::pages::Answer;
use crate::pages::people::{IN_WORKSPACE, placement, role_name};
use crate::view::{
    Call, Faults, Field, Icon, Tone, as_code, banner, button_if, cell, copyable, done, empty, facts,
    fragment, hidden, icon, link_if, moment, once, pager, section, section_with, status, table, text,
};
use crate::visit::{Fields, Params, Segment, Visit, Watch};

/// A claim to a domain, as the API tells of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Domain {
    pub(super) domain: String,
    status: String,
    challenge: Challenge,
    #[serde(default)]
    auto_join: Option<AutoJoin>,
    #[serde(default)]
    verified_at: Option<Timestamp>,
    #[serde(default)]
    checked_at: Option<Timestamp>,
    #[serde(default)]
    failing_since: Option<Timestamp>,
    #[serde(default)]
    grace_until: Option<Timestamp>,
    #[serde(default)]
    next_check_at: Option<Timestamp>,
    created_at: Timestamp,
}

/// A DNS record to be published.
#[derive(Debug, Clone, Deserialize)]
struct Challenge {
    name: String,
    r#type: String,
    value: String,
}

/// What people get who join by themselves.
#[derive(Debug, Clone, Deserialize)]
struct AutoJoin {
    role: String,
    #[serde(default)]
    workspace_id: Option<String>,
}

const PATH: &str = "/api/admin/domains";

fn path(domain: &str) -> String {
    format!("{PATH}/{domain}")
}

impl Domain {
    /// Whether it counts as the organization's own.
    pub(super) fn is_good(&self) -> bool {
        matches!(self.status.as_str(), "verified" | "failing")
    }
}

pub(super) async fn list(visit: Visit, params: Params) -> Answer {
    show_list(&visit, &params, "", &Faults::default()).await
}

async fn show_list(visit: &Visit, params: &Params, entered: &str, faults: &Faults) -> Answer {
    let asked = Request::get(PATH).query("cursor", params.get("cursor"));
    let (me, domains) = tokio::try_join!(Me::of(&visit.api), visit.api.ask::<List<Domain>>(asked))?;
    let may = me.may("domains:write");
    let shown = if entered.is_empty() { "example.com" } else { entered };
    let body = html! {
        (settings_tabs("Domains"))
        (faults.summary(&["/domain"]))
        @if domains.data.is_empty() && params.filled("cursor").is_none() {
            (empty(Icon::Shield, "No domains yet", html! {
                p { "Show by a DNS record that a domain is yours. Then its people can join by themselves, sign on through your identity provider, and you can let nobody else in." }
            }))
        } @else {
            (table("Domains", &["Domain", "State", "Who joins by it", "Verified", "Looked for"], html! {
                @for domain in &domains.data { (row(visit, &me, domain)) }
            }))
            (pager("/console/settings/domains", params, domains.next_cursor.as_deref()))
        }
        (section("Claim a domain", html! {
            (lacking(may, "domains:write"))
            form class="stack" method="post" action="/console/settings/domains" {
                (once(visit))
                (text("text", Field::new("domain", "Domain").value(entered).fault(faults.of_field("/domain")).hint("What stands behind the @ in your people's addresses, such as example.com. Domains of providers of mailboxes are nobody's.")))
                div class="actions" { button class="button primary" disabled[!may] { "Claim" } }
            }
        }))
        (as_code(visit, &Call::new("POST", PATH, "domains:write").body(json!({"domain": shown}))))
    };
    Ok(page(visit, &me, "Domains")
        .lead(html! { "The e-mail domains that are this organization's own, shown by a record in DNS." })
        .status(faults.status())
        .show(body))
}

fn row(visit: &Visit, me: &Me, domain: &Domain) -> Markup {
    let now = visit.now();
    html! {
        tr {
            (cell("Domain", html! { a class="main" href={ "/console/settings/domains/" (domain.domain) } { (domain.domain) } }))
            (cell("State", status(&domain.status)))
            (cell("Who joins", joins(me, domain.auto_join.as_ref())))
            (cell("Verified", html! { @match domain.verified_at { Some(at) => (moment(now, at)), None => span class="hint" { "not yet" } } }))
            (cell("Looked for", html! { @match domain.checked_at { Some(at) => (moment(now, at)), None => span class="hint" { "not yet" } } }))
        }
    }
}

fn joins(me: &Me, auto_join: Option<&AutoJoin>) -> Markup {
    html! {
        @match auto_join {
            Some(joins) => {
                (role_name(&joins.role))
                @match &joins.workspace_id { Some(workspace) => { " in " (me.workspace_name(workspace)) }, None => " on the organization" }
            },
            None => span class="hint" { "invited people only" },
        }
    }
}

pub(super) async fn claim(visit: Visit, fields: Fields) -> Answer {
    let name = fields.get("domain");
    let request = Request::post(PATH).once(fields.once()).json(&json!({"domain": name}));
    match visit.api.ask::<Domain>(request).await {
        Ok(domain) => Ok(done(&format!("/console/settings/domains/{}", domain.domain), "domain-claimed")),
        Err(failure) => show_list(&visit, &Params::default(), name, &Faults::of(failure)?).await,
    }
}

async fn read(visit: &Visit, domain: &str) -> Result<(Domain, String), Failure> {
    let asked = visit.api.send(Request::get(path(domain))).await?;
    let etag = asked.header("etag").unwrap_or_default().to_owned();
    Ok((asked.read()?, etag))
}

pub(super) async fn one(visit: Visit, Segment(domain): Segment, watch: Watch) -> Answer {
    if watch.is_fragment {
        let (domain, _) = read(&visit, &domain).await?;
        // Once it is verified the page has other things to say.
        return Ok(fragment(&watch, standing(&visit, &domain), domain.status == "verified"));
    }
    show_one(&visit, &domain, None, &Faults::default()).await
}

async fn show_one(visit: &Visit, domain: &str, entered: Option<&Fields>, faults: &Faults) -> Answer {
    let (me, (domain, etag)) = tokio::try_join!(Me::of(&visit.api), read(visit, domain))?;
    let here = format!("/console/settings/domains/{}", domain.domain);
    let may = me.may("domains:write");
    let give_up = link_if(
        me.may("domains:delete"),
        "domains:delete",
        &format!("{here}/delete"),
        html! { "Give it up" },
    );
    let is_settled = domain.status == "verified";
    let verify = button_if(
        visit,
        may,
        "domains:write",
        &format!("{here}/verify"),
        if is_settled { "button" } else { "button primary" },
        html! { @if is_settled { "Look for the record again" } @else { "Verify now" } },
    );
    let body = html! {
        (faults.summary(&["/auto_join/role", "/auto_join/workspace_id"]))
        (section_with("State", verify, html! {
            @if is_settled { div { (standing(visit, &domain)) } }
            @else { div data-live=(here) data-every="10" data-reload { (standing(visit, &domain)) } }
        }))
        (section("The record to make", html! {
            p { "Where the DNS of " strong { (domain.domain) } " is kept, add this record. It may take minutes until it can be seen everywhere. Leave it there: it is looked for every day." }
            div class="record" {
                h3 { "Type" } (copyable(&domain.challenge.r#type))
                h3 { "Name" } (copyable(&domain.challenge.name))
                h3 { "Value" } (copyable(&domain.challenge.value))
            }
        }))
        (section("Who joins by it", html! {
            (lacking(may, "domains:write"))
            @if !domain.is_good() { p class="hint" { "It counts as soon as the domain is verified." } }
            (join_form(visit, &me, &domain, &etag, entered, faults, may))
        }))
        (as_code(visit, &Call::new("POST", format!("{}/verify", path(&domain.domain)), "domains:write")))
    };
    Ok(page(visit, &me, &domain.domain)
        .below("Domains", "/console/settings/domains")
        .lead(html! { "How far it is shown to be yours, and who may join by it." })
        .actions(give_up)
        .status(faults.status())
        .show(body))
}

/// How far a domain is proved, and what is going to happen.
fn standing(visit: &Visit, domain: &Domain) -> Markup {
    let now = visit.now();
    let time = |at: Option<Timestamp>, none: &str| html! { @match at { Some(at) => (moment(now, at)), None => (none) } };
    html! {
        p {
            (status(&domain.status)) " "
            @match domain.status.as_str() {
                "pending" => "The record has not been seen yet. It is looked for when you verify.",
                "verified" => "The record is there, and is looked for every day.",
                "failing" => "The record is gone. Everything stays as it is for a while; put the record back.",
                "lapsed" => "The record was gone for too long. Nobody joins or signs on by the domain any more, and others may claim it. Put the record back and verify.",
                _ => "",
            }
        }
        (facts([
            ("Claimed", moment(now, domain.created_at)),
            ("Verified", time(domain.verified_at, "Not yet")),
            ("Last looked for", time(domain.checked_at, "Not yet")),
            ("Looked for next", time(domain.next_check_at, "When you verify")),
        ]))
        @if domain.failing_since.is_some() || domain.grace_until.is_some() {
            (banner(Tone::Bad, html! { p {
                @if let Some(at) = domain.failing_since { "Gone since: " (moment(now, at)) ". " }
                @if let Some(at) = domain.grace_until { "It lapses " (moment(now, at)) "." }
            } }))
        }
    }
}

fn join_form(
    visit: &Visit,
    me: &Me,
    domain: &Domain,
    etag: &str,
    entered: Option<&Fields>,
    faults: &Faults,
    may: bool,
) -> Markup {
    let held = domain.auto_join.as_ref();
    let role = entered.map_or(held.map_or("", |joins| joins.role.as_str()), |fields| fields.get("role"));
    let workspace = held.and_then(|joins| joins.workspace_id.as_deref()).unwrap_or_default();
    let workspace = entered.map_or(workspace, |fields| fields.get("workspace_id"));
    let roles: Vec<(&str, &str)> =
        std::iter::once(("", "Nobody: invited people only")).chain(IN_WORKSPACE).collect();
    html! {
        form class="stack" method="post" action={ "/console/settings/domains/" (domain.domain) } {
            (once(visit)) (hidden("etag", etag))
            (placement(me, &roles, (role, faults.of_field("/auto_join/role")), (workspace, faults.of_field("/auto_join/workspace_id"))))
            p class="hint" { "Whoever has a confirmed address of this domain may then join by themselves, in that role. Nobody becomes an admin in this way." }
            div class="actions" { button class="button primary" disabled[!may] { "Save" } }
        }
    }
}

/// The role and workspace that a form names, or nothing when nobody joins.
fn auto_join(role: Option<&str>, workspace: Option<&str>) -> Value {
    role.map_or(Value::Null, |role| json!({"role": role, "workspace_id": workspace}))
}

pub(super) async fn change(visit: Visit, Segment(domain): Segment, fields: Fields) -> Answer {
    let body = json!({"auto_join": auto_join(fields.filled("role"), fields.filled("workspace_id"))});
    let request = Request::patch(path(&domain)).header(header::IF_MATCH, fields.get("etag")).json(&body);
    match visit.api.tell(request).await {
        Ok(()) => Ok(done(&format!("/console/settings/domains/{domain}"), "domain-changed")),
        Err(failure) => show_one(&visit, &domain, Some(&fields), &Faults::of(failure)?).await,
    }
}

pub(super) async fn verify(visit: Visit, Segment(domain): Segment, fields: Fields) -> Answer {
    match visit.api.tell(Request::post(format!("{}/verify", path(&domain))).once(fields.once())).await {
        Ok(()) => Ok(done(&format!("/console/settings/domains/{domain}"), "domain-verified")),
        Err(failure) => show_one(&visit, &domain, None, &Faults::of(failure)?).await,
    }
}

pub(super) async fn delete_form(visit: Visit, Segment(domain): Segment) -> Answer {
    let (me, (domain, etag)) = tokio::try_join!(Me::of(&visit.api), read(&visit, &domain))?;
    Ok(show_delete(&visit, &me, &domain, &etag, &Faults::default()))
}

fn show_delete(visit: &Visit, me: &Me, domain: &Domain, etag: &str, faults: &Faults) -> Response {
    let may = me.may("domains:delete");
    let here = format!("/console/settings/domains/{}", domain.domain);
    let body = html! {
        (faults.summary(&["/confirm"]))
        (lacking(may, "domains:delete"))
        form class="card stack" method="post" action={ (here) "/delete" } {
            (once(visit)) (hidden("etag", etag))
            p { "Nobody new joins by " strong { (domain.domain) } ", nobody with an address of it signs on through your identity provider any more, and others are free to claim it. People who are members stay." }
            (text("text", Field::new("confirm", "The domain, to be sure").fault(faults.of_field("/confirm"))))
            div class="actions" {
                button class="button danger" disabled[!may] { (icon(Icon::Cross)) "Give the domain up" }
                a class="button" href=(here) { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("DELETE", path(&domain.domain), "domains:delete")))
    };
    page(visit, me, "Give the domain up")
        .below("Domains", "/console/settings/domains")
        .below(domain.domain.as_str(), here.as_str())
        .status(faults.status())
        .show(body)
}

pub(super) async fn delete(visit: Visit, Segment(domain): Segment, fields: Fields) -> Answer {
    let (me, (domain, etag)) = tokio::try_join!(Me::of(&visit.api), read(&visit, &domain))?;
    if !fields.get("confirm").eq_ignore_ascii_case(&domain.domain) {
        let faults = Faults::at("/confirm", "That is not the domain.");
        return Ok(show_delete(&visit, &me, &domain, &etag, &faults));
    }
    let request = Request::delete(path(&domain.domain)).header(header::IF_MATCH, fields.get("etag"));
    match visit.api.tell(request).await {
        Ok(()) => Ok(done("/console/settings/domains", "domain-given-up")),
        Err(failure) => Ok(show_delete(&visit, &me, &domain, &etag, &Faults::of(failure)?)),
    }
}
