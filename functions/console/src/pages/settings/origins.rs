//! The web origins that may call the API from a browser.

use maud::html;
use serde_json::json;

use super::{PATH, lacking, page, patch, read, settings_tabs};
use crate::api::Me;
use crate::pages::Answer;
use crate::view::{Call, Faults, Field, Tone, as_code, banner, done, hidden, once, textarea};
use crate::visit::{Fields, Visit};

pub(super) async fn show(visit: Visit) -> Answer {
    shown(&visit, None, &Faults::default()).await
}

async fn shown(visit: &Visit, entered: Option<&Fields>, faults: &Faults) -> Answer {
    let (me, (organization, etag)) = tokio::try_join!(Me::of(&visit.api), read(visit))?;
    let may = me.may("organization:write");
    let origins = &organization.settings.cors_origins;
    let value = entered.map_or_else(|| origins.join("\n"), |fields| fields.get("cors_origins").to_owned());
    let shown = if origins.is_empty() { json!(["https://app.example.com"]) } else { json!(origins) };
    let body = html! {
        (settings_tabs("Web origins"))
        (faults.summary(&["/settings/cors_origins"]))
        @if origins.is_empty() {
            (banner(Tone::Quiet, html! { p { "No browser may call the API from a page of another site. Programs on servers need nothing of this." } }))
        }
        form class="card stack" method="post" action="/console/settings/origins" {
            (once(visit)) (hidden("etag", &etag))
            (lacking(may, "organization:write"))
            (textarea(Field::new("cors_origins", "Origins").optional().value(&value).fault(faults.of_field("/settings/cors_origins")).hint("One to a line, up to 20, each just as a browser sends it: https://app.example.com. No path, no wildcard; http for localhost only."), 6))
            p class="hint" { "An API key in a page is an API key in public: give such pages sessions, or keys that may do very little." }
            div class="actions" { button class="button primary" disabled[!may] { "Save" } }
        }
        (as_code(visit, &Call::new("PATCH", PATH, "organization:write").body(json!({"settings": {"cors_origins": shown}}))))
    };
    Ok(page(visit, &me, "Web origins")
        .lead(html! { "The sites whose pages may call the API from a browser (CORS)." })
        .status(faults.status())
        .show(body))
}

pub(super) async fn change(visit: Visit, fields: Fields) -> Answer {
    let body = json!({"settings": {"cors_origins": fields.lines("cors_origins")}});
    match visit.api.tell(patch(fields.get("etag"), &body)).await {
        Ok(()) => Ok(done("/console/settings/origins", "settings-changed")),
        Err(failure) => shown(&visit, Some(&fields), &Faults::of(failure)?).await,
    }
}
