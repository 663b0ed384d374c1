//! Single sign-on: the identity provider, step by step.

use axum::response::Response;
use clock::Timestamp;
use http::header;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::domains::Domain;
use super::{lacking, page, settings_tabs};
use crate::api::{Failure, List, Me, Request};
use crate::pages::Answer;
use crate::pages::people::{IN_WORKSPACE, placement, role_name};
use crate::view::{
    Call, Faults, Field, Icon, Tone, as_code, banner, copyable, done, facts, hidden, icon, link_if, moment,
    once, password, section, section_with, text,
};
use crate::visit::{Fields, Visit, href};

/// The identity provider, without its secret.
#[derive(Debug, Clone, Deserialize)]
struct Sso {
    issuer: String,
    client_id: String,
    default_role: String,
    #[serde(default)]
    default_workspace_id: Option<String>,
    updated_at: Timestamp,
}

const PATH: &str = "/api/admin/sso";

/// The identity provider and its entity tag, if there is one.
async fn read(visit: &Visit) -> Result<Option<(Sso, String)>, Failure> {
    match visit.api.send(Request::get(PATH)).await {
        Ok(asked) => {
            let etag = asked.header("etag").unwrap_or_default().to_owned();
            Ok(Some((asked.read()?, etag)))
        }
        Err(Failure::Refused(problem)) if problem.status == 404 => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Whether there is one; `None` when that is not to be known.
pub(super) async fn exists(visit: &Visit, me: &Me) -> Result<Option<bool>, Failure> {
    if !me.may_somewhere("sso:read") {
        return Ok(None);
    }
    Ok(Some(read(visit).await?.is_some()))
}

/// The domains that are shown to be the organization's own; `None` when that is not to be known.
pub(super) async fn verified(visit: &Visit, me: &Me) -> Result<Option<Vec<String>>, Failure> {
    if !me.may_somewhere("domains:read") {
        return Ok(None);
    }
    let asked = Request::get("/api/admin/domains").query("limit", "100");
    let List { data, .. } = visit.api.ask::<List<Domain>>(asked).await?;
    Ok(Some(data.into_iter().filter(Domain::is_good).map(|domain| domain.domain).collect()))
}

pub(super) async fn show(visit: Visit) -> Answer {
    shown(&visit, None, &Faults::default()).await
}

async fn shown(visit: &Visit, entered: Option<&Fields>, faults: &Faults) -> Answer {
    let around = async {
        let me = Me::of(&visit.api).await?;
        let domains = verified(visit, &me).await?;
        Ok((me, domains))
    };
    let ((me, domains), found) = tokio::try_join!(around, read(visit))?;
    let may = me.may("sso:write");
    let test = href("/console/sign-in/sso", [("organization", me.organization.id.as_str())]);
    let remove = html! {
        @if found.is_some() {
            (link_if(me.may("sso:delete"), "sso:delete", "/console/settings/sso/remove", html! { "Remove" }))
        }
    };
    let body = html! {
        (settings_tabs("Single sign-on"))
        (faults.summary(&["/issuer", "/client_id", "/client_secret", "/default_role", "/default_workspace_id"]))
        @if let Some((sso, _)) = &found { (about(visit, &me, sso, &test)) }
        @else { (banner(Tone::Quiet, html! { p { "No identity provider is set up. People sign in with a password, and a second factor if they have one." } })) }
        @if domains.as_ref().is_some_and(Vec::is_empty) {
            (banner(Tone::Wary, html! { p { "No domain is verified. The provider vouches only for people with an address of a verified domain: without one, nobody can sign on. " a href="/console/settings/domains" { "Claim a domain" } } }))
        }
        @if let Some(domains) = domains.as_ref().filter(|domains| !domains.is_empty()) {
            p class="hint" { "The provider vouches for people with an address of: " (domains.join(", ")) "." }
        }
        (section(if found.is_some() { "Change" } else { "Set it up" }, steps(visit, &me, found.as_ref(), entered, faults, may)))
        (as_code(visit, &Call::new("PUT", PATH, "sso:write").body(example(found.as_ref().map(|(sso, _)| sso)))))
    };
    Ok(page(visit, &me, "Single sign-on")
        .lead(html! { "Let people sign in at your own identity provider (OpenID Connect), and join by doing so." })
        .actions(remove)
        .status(faults.status())
        .show(body))
}

fn about(visit: &Visit, me: &Me, sso: &Sso, test: &str) -> Markup {
    section_with(
        "The identity provider",
        html! { a class="button" href=(test) target="_blank" rel="noopener" { "Test it" span class="unseen" { " (opens a new tab)" } } },
        html! {
            (facts([
                ("Issuer", html! { code { (sso.issuer) } }),
                ("Client", html! { code { (sso.client_id) } }),
                ("Who joins by it", html! {
                    (role_name(&sso.default_role))
                    @match &sso.default_workspace_id { Some(workspace) => { " in " (me.workspace_name(workspace)) }, None => " on the organization" }
                }),
                ("Changed", moment(visit.now(), sso.updated_at)),
            ]))
            p class="hint" { "The test signs on in a new tab, as everybody would, and the session there takes the place of this one. If it fails you stay signed in as you are, and are told why." }
            p class="hint" { "To ask everybody to sign on here, see " a href="/console/settings/security" { "security" } "." }
        },
    )
}

fn steps(
    visit: &Visit,
    me: &Me,
    found: Option<&(Sso, String)>,
    entered: Option<&Fields>,
    faults: &Faults,
    may: bool,
) -> Markup {
    let sso = found.map(|(sso, _)| sso);
    let value = |name: &'static str, own: Option<&str>| -> String {
        entered.map_or(own.unwrap_or_default(), |fields| fields.get(name)).to_owned()
    };
    let issuer = value("issuer", sso.map(|sso| sso.issuer.as_str()));
    let client = value("client_id", sso.map(|sso| sso.client_id.as_str()));
    let role = value("role", Some(sso.map_or("member", |sso| sso.default_role.as_str())));
    let only = me.workspaces.first().filter(|_| me.workspaces.len() == 1).map(|it| it.id.as_str());
    let workspace = value("workspace_id", sso.map_or(only, |sso| sso.default_workspace_id.as_deref()));
    let secret_hint = if found.is_some() {
        "Never shown. Leave it empty while issuer and client stay the same."
    } else {
        "It is sealed when it is stored, and never shown."
    };
    html! {
        (lacking(may, "sso:write"))
        form class="stack" method="post" action="/console/settings/sso" {
            (once(visit)) (hidden("etag", found.map_or("", |(_, etag)| etag.as_str())))
            ol class="steps" {
                li {
                    h3 { "Register Artisan at your provider" }
                    p { "As a confidential web application that uses the authorization code flow. It asks for this redirect URI:" }
                    (copyable(&format!("{}/api/auth/sso/callback", visit.site().url)))
                }
                li {
                    h3 { "Say where your provider is" }
                    (text("url", Field::new("issuer", "Issuer").value(&issuer).fault(faults.of_field("/issuer")).hint("Exactly as its tokens name it, with or without a slash at the end. Its configuration is read from /.well-known/openid-configuration below it.")))
                }
                li {
                    h3 { "Enter what your provider gave you" }
                    div class="columns" {
                        (text("text", Field::new("client_id", "Client id").value(&client).fault(faults.of_field("/client_id"))))
                        (password(if found.is_some() { secret_field(secret_hint, faults).optional() } else { secret_field(secret_hint, faults) }))
                    }
                }
                li {
                    h3 { "Choose what people get who join by signing on" }
                    (placement(me, &IN_WORKSPACE, (&role, faults.of_field("/default_role")), (&workspace, faults.of_field("/default_workspace_id"))))
                    p class="hint" { "Who is a member already keeps the roles they have." }
                }
            }
            div class="actions" { button class="button primary" disabled[!may] { @if found.is_some() { "Save" } @else { "Set it up" } } }
        }
    }
}

fn secret_field<'a>(hint: &'a str, faults: &'a Faults) -> Field<'a> {
    Field::new("client_secret", "Client secret")
        .hint(hint)
        .autocomplete("new-password")
        .fault(faults.of_field("/client_secret"))
}

fn example(sso: Option<&Sso>) -> Value {
    match sso {
        Some(sso) => json!({
            "issuer": sso.issuer,
            "client_id": sso.client_id,
            "default_role": sso.default_role,
            "default_workspace_id": sso.default_workspace_id,
        }),
        None => json!({
            "issuer": "https://login.example.com",
            "client_id": "artisan",
            "client_secret": "the secret",
            "default_role": "read_only",
        }),
    }
}

pub(super) async fn set(visit: Visit, fields: Fields) -> Answer {
    let mut body = json!({
        "issuer": fields.get("issuer"),
        "client_id": fields.get("client_id"),
        "default_role": fields.get("role"),
        "default_workspace_id": fields.filled("workspace_id"),
    });
    let secret = fields.raw("client_secret");
    if let Some(body) = body.as_object_mut().filter(|_| !secret.is_empty()) {
        body.insert("client_secret".to_owned(), secret.into());
    }
    let mut request = Request::put(PATH).json(&body);
    if let Some(etag) = fields.filled("etag") {
        request = request.header(header::IF_MATCH, etag);
    }
    match visit.api.tell(request).await {
        Ok(()) => Ok(done("/console/settings/sso", "sso-set")),
        Err(failure) => shown(&visit, Some(&fields), &Faults::of(failure)?).await,
    }
}

pub(super) async fn remove_form(visit: Visit) -> Answer {
    let (me, found) = tokio::try_join!(Me::of(&visit.api), read(&visit))?;
    match found {
        Some((sso, etag)) => Ok(show_remove(&visit, &me, &sso, &etag, &Faults::default())),
        None => Ok(done("/console/settings/sso", "not-there")),
    }
}

fn show_remove(visit: &Visit, me: &Me, sso: &Sso, etag: &str, faults: &Faults) -> Response {
    let may = me.may("sso:delete");
    let body = html! {
        (faults.summary(&["/confirm"]))
        (lacking(may, "sso:delete"))
        form class="card stack" method="post" action="/console/settings/sso/remove" {
            (once(visit)) (hidden("etag", etag))
            p { "Nobody can sign on through " code { (sso.issuer) } " any more. Whoever has no password sets one by “Forgotten password”. Sessions that are there go on." }
            p class="hint" { "It is refused while single sign-on is required." }
            (text("text", Field::new("confirm", "The client id, to be sure").fault(faults.of_field("/confirm")).hint(&format!("As it stands here: {}", sso.client_id))))
            div class="actions" {
                button class="button danger" disabled[!may] { (icon(Icon::Cross)) "Remove the identity provider" }
                a class="button" href="/console/settings/sso" { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("DELETE", PATH, "sso:delete")))
    };
    page(visit, me, "Remove the identity provider")
        .below("Single sign-on", "/console/settings/sso")
        .status(faults.status())
        .show(body)
}

pub(super) async fn remove(visit: Visit, fields: Fields) -> Answer {
    let (me, found) = tokio::try_join!(Me::of(&visit.api), read(&visit))?;
    let Some((sso, etag)) = found else { return Ok(done("/console/settings/sso", "not-there")) };
    if fields.get("confirm") != sso.client_id {
        let faults = Faults::at("/confirm", "That is not the client id.");
        return Ok(show_remove(&visit, &me, &sso, &etag, &faults));
    }
    match visit.api.tell(Request::delete(PATH).header(header::IF_MATCH, fields.get("etag"))).await {
        Ok(()) => Ok(done("/console/settings/sso", "sso-removed")),
        Err(failure) => Ok(show_remove(&visit, &me, &sso, &etag, &Faults::of(failure)?)),
    }
}
