//! The way from nothing to the first webhook that arrives.

use maud::{Markup, html};

use super::Attention;
use crate::api::Me;
use crate::pages::requests::Requests;
use crate::view::{Icon, icon, section};
use crate::visit::Visit;

/// The steps, until there are a key and an endpoint; only for those who may take them.
pub(super) fn show(visit: &Visit, me: &Me, attention: &Attention, used: Option<&Requests>) -> Markup {
    if !me.may("api_keys:write") {
        return html! {};
    }
    let (has_key, has_endpoint) = attention.has();
    let has_used = used.is_some_and(|used| used.total.requests > 0);
    if has_key && has_endpoint {
        return html! {};
    }
    let workspace = me.workspaces.first().map_or("", |workspace| workspace.id.as_str());
    let step = |is_done: bool, title: Markup, body: Markup| {
        html! {
            li data-done[is_done] {
                span class="tick" { @if is_done { (icon(Icon::Tick)) span class="unseen" { "Done: " } } }
                div { h3 { (title) } p class="hint" { (body) } }
            }
        }
    };
    section(
        "First steps",
        html! {
            ol class="first-steps" {
                (step(has_key, html! { a href="/console/keys/new" { "Make an API key" } }, html! { "It is shown once, with a call to try it." }))
                (step(has_used, html! { "Call the API" }, html! { "With the call beside the key, or from the " a href="/docs" { "reference" } "." }))
                (step(has_endpoint, html! { a href="/console/webhooks/new" { "Add a webhook endpoint" } }, html! {
                    "Where events are sent."
                    @if let Some(inbox) = &visit.site().inbox { " On this machine the inbox takes them: " code { (visit.site().url) (inbox) } "." }
                }))
                (step(false, html! { a href={ "/console/w/" (workspace) "/leads/new" } { "Add a lead" } }, html! { "It makes an event; see its delivery arrive under Webhooks." }))
            }
        },
    )
}
