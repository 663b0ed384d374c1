//! A new endpoint, and its secret, which is shown this once.

use axum::response::Response;
use http::StatusCode;
use maud::html;
use serde_json::{Map, Value, json};

use super::form::{Entered, SHOWN};
use super::secret::{Revealed, shown_once};
use super::{EVENT_TYPES, EventTypes, PATH, WRITE};
use crate::api::{Me, Request};
use crate::pages::Answer;
use crate::view::{At, Call, Faults, Field, Page, Tone, as_code, banner, choice, once};
use crate::visit::{Fields, Visit};

pub(super) async fn form(visit: Visit) -> Answer {
    let (me, types) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<EventTypes>(EVENT_TYPES))?;
    Ok(show_form(&visit, &me, &types, &Fields::default(), &Faults::default()))
}

fn show_form(visit: &Visit, me: &Me, types: &EventTypes, fields: &Fields, faults: &Faults) -> Response {
    let entered = Entered::of_fields(fields);
    let may = me.may_somewhere(WRITE);
    let everywhere = me.may(WRITE).then_some(("", "All workspaces"));
    let workspaces = me.workspaces.iter().filter(|workspace| me.may_in(Some(&workspace.id), WRITE));
    let workspaces = workspaces.map(|workspace| (workspace.id.as_str(), workspace.name.as_str()));
    let body = html! {
        (faults.summary(SHOWN))
        @if !may { (banner(Tone::Wary, html! { p { "This takes the permission " code { (WRITE) } ", which your role does not hold." } })) }
        form class="card stack" method="post" action="/console/webhooks/new" {
            (once(visit))
            (entered.url_field(faults))
            (entered.description_field(faults))
            div class="columns" {
                (choice(Field::new("workspace_id", "Workspace").value(fields.get("workspace_id")).fault(faults.of_field("/workspace_id")).hint("Only what happens there is sent."), everywhere.into_iter().chain(workspaces)))
                (choice(Field::new("mode", "Data").value(fields.get("mode")).fault(faults.of_field("/mode")).hint("What a test key does, a live endpoint does not hear of."), [("live", "Live"), ("test", "Test")]))
            }
            (entered.picker(&types.data, faults))
            details class="more" open[!faults.is_empty()] {
                summary { "Headers, time, retries, rate and signatures" }
                div class="stack" { (entered.sending(&[], faults)) }
            }
            div class="actions" {
                button class="button primary" disabled[!may] { "Make the endpoint" }
                a class="button" href="/console/webhooks" { "Cancel" }
            }
        }
        (as_code(visit, &Call::new("POST", PATH, WRITE).body(shown(&entered, fields))))
    };
    Page::new(visit, me, At::Webhooks, "New endpoint")
        .below("Webhooks", "/console/webhooks")
        .lead(html! { "A URL of yours that is told what happens. Its signing secret is shown once, right after." })
        .status(faults.status())
        .show(body)
}

fn asked(entered: &Entered, fields: &Fields) -> Result<Map<String, Value>, Faults> {
    let mut asked = entered.new_endpoint()?;
    for name in ["workspace_id", "mode"] {
        if let Some(value) = fields.filled(name) {
            asked.insert(name.to_owned(), value.into());
        }
    }
    Ok(asked)
}

/// The same with something in the place of what is not entered yet, to be read.
fn shown(entered: &Entered, fields: &Fields) -> Value {
    let mut asked = asked(entered, fields).unwrap_or_default();
    if entered.url.is_empty() {
        asked.insert("url".to_owned(), "https://example.com/hooks/artisan".into());
    }
    if asked.get("events").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        asked.insert("events".to_owned(), json!(["lead.replied", "meeting.booked"]));
    }
    Value::Object(asked)
}

pub(super) async fn create(visit: Visit, fields: Fields) -> Answer {
    let (me, types) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<EventTypes>(EVENT_TYPES))?;
    let body = match asked(&Entered::of_fields(&fields), &fields) {
        Ok(body) => body,
        Err(faults) => return Ok(show_form(&visit, &me, &types, &fields, &faults)),
    };
    let request = Request::post(PATH).once(fields.once()).json(&body);
    match visit.api.ask::<Revealed>(request).await {
        Ok(made) => Ok(shown_once(&visit, &me, &made, &types, "The endpoint is made", StatusCode::CREATED)),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            Ok(show_form(&visit, &me, &types, &fields, &faults))
        }
    }
}
