//! The keys there are.

use maud::{Markup, html};
use serde::Deserialize;

use super::Key;
use crate::api::{Failure, List, Me, Request};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Icon, Page, Searched, Tone, as_code, badge, cell, empty, icon, link_if, moment,
    sparkline, status, table,
};
use crate::visit::{Params, Visit, href};

const LIST: Searched = Searched { path: "/console/keys", of: "keys", by: "name or last four characters" };
const PATH: &str = "/api/admin/api-keys";

/// What all keys were used for lately.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Usage {
    #[serde(default)]
    keys: Vec<KeyUsage>,
}

#[derive(Debug, Deserialize)]
struct KeyUsage {
    id: String,
    requests: Vec<u64>,
}

pub(super) async fn list(visit: Visit, params: Params) -> Answer {
    let asked =
        Request::get(PATH).query("search", params.get("search")).query("cursor", params.get("cursor"));
    let usage = visit.api.ask::<Usage>(Request::get("/api/admin/api-keys/usage").query("granularity", "day"));
    let usage = async { Ok::<_, Failure>(usage.await.ok()) };
    let keys = async { Faults::instead_of(visit.api.ask::<List<Key>>(asked).await) };
    let (me, (keys, faults), usage) = tokio::try_join!(Me::of(&visit.api), keys, usage)?;
    let create = link_if(
        me.may("api_keys:write"),
        "api_keys:write",
        "/console/keys/new",
        html! { (icon(Icon::Plus)) "New key" },
    );
    let teaching = empty(
        Icon::Key,
        "No API keys yet",
        html! {
            p { "A key lets a program use the API: with the permissions you give it, from where you allow it, and as often as you allow it." }
            p { "It is shown once, when it is made. Only its hash is kept." }
        },
    );
    let table = table(
        "API keys",
        &["Name", "Key", "May", "Last used", "30 days", "State"],
        html! {
            @for key in &keys.data { (row(&visit, &me, key, usage.as_ref())) }
        },
    );
    let body = html! {
        (LIST.page(&params, (&keys, &faults), teaching, table))
        (as_code(&visit, &Call::new("GET", href(PATH, [("search", params.get("search"))]), "api_keys:read")))
    };
    let lead = html! { "What programs use the API with. They belong to the organization and outlive whoever made them." };
    Ok(Page::new(&visit, &me, At::Keys, "API keys")
        .lead(lead)
        .actions(create)
        .status(faults.status())
        .show(body))
}

fn row(visit: &Visit, me: &Me, key: &Key, usage: Option<&Usage>) -> Markup {
    let used = usage.and_then(|usage| usage.keys.iter().find(|used| used.id == key.id));
    html! {
        tr {
            (cell("Name", html! {
                a class="main" href={ "/console/keys/" (key.id) } { (key.name) }
                @if let Some(workspace) = &key.workspace_id { br; span class="hint" { "in " (me.workspace_name(workspace)) } }
            }))
            (cell("Key", html! { code { (key.shown()) } " " @if key.mode == "test" { (badge(Tone::Quiet, "test")) } }))
            (cell("May", html! { (scopes(&key.scopes)) }))
            (cell("Last used", html! { @match key.last_used_at { Some(at) => (moment(visit.now(), at)), None => span class="hint" { "never" } } }))
            (cell("30 days", html! { @if usage.is_none() { span class="hint" { "not known" } } @if let Some(used) = used { (sparkline(&format!("Requests with {}", key.name), &used.requests)) } }))
            (cell("State", state(visit, key)))
        }
    }
}

/// A key's permissions, in short.
fn scopes(scopes: &[String]) -> Markup {
    const SHOWN: usize = 3;
    html! {
        span title=(scopes.join(", ")) {
            (scopes.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", "))
            @if scopes.len() > SHOWN { " +" (scopes.len() - SHOWN) }
        }
    }
}

/// How a key is, and what is going to happen to it.
pub(super) fn state(visit: &Visit, key: &Key) -> Markup {
    const SOON: i64 = 14 * 24 * 60 * 60;
    let ends_soon =
        key.expires_at.filter(|at| at.seconds() - visit.now().seconds() < SOON && *at > visit.now());
    html! {
        @if key.leaked_at.is_some() { (badge(Tone::Bad, "leaked")) " " }
        (status(&key.status))
        @if let Some(at) = ends_soon { " " (badge(Tone::Wary, "expires")) " " span class="hint" { (moment(visit.now(), at)) } }
    }
}
