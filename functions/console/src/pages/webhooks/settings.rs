//! Changing an endpoint.

use axum::response::Response;
use http::header;
use maud::html;
use serde_json::Value;

use super::form::{Entered, SHOWN};
use super::{DELETE, EVENT_TYPES, EventTypes, Tab, WRITE, Watched, path, tabbed};
use crate::api::{Me, Request};
use crate::pages::Answer;
use crate::view::{Call, Faults, Tone, as_code, banner, done, hidden, link_if, once, section};
use crate::visit::{Fields, Segment, Visit};

pub(super) async fn settings(visit: Visit, Segment(id): Segment) -> Answer {
    show(&visit, &id, None, &Faults::default()).await
}

async fn show(visit: &Visit, id: &str, fields: Option<&Fields>, faults: &Faults) -> Answer {
    let (me, asked, types) = tokio::try_join!(
        Me::of(&visit.api),
        visit.api.send(Request::get(path(id))),
        visit.api.get::<EventTypes>(EVENT_TYPES),
    )?;
    let etag = asked.header("etag").unwrap_or_default().to_owned();
    let watched: Watched = asked.read()?;
    Ok(page(visit, &me, &watched, &etag, &types, fields, faults))
}

fn page(
    visit: &Visit,
    me: &Me,
    watched: &Watched,
    etag: &str,
    types: &EventTypes,
    fields: Option<&Fields>,
    faults: &Faults,
) -> Response {
    let Watched { endpoint, health } = watched;
    let entered = fields.map_or_else(|| Entered::of_endpoint(endpoint), Entered::of_fields);
    let may = endpoint.may(me, WRITE);
    let here = format!("/console/webhooks/{}", endpoint.id);
    let change = entered.change().map(Value::Object).unwrap_or_default();
    let body = html! {
        (section("What is sent, and where to", html! {
            (faults.summary(SHOWN))
            @if !may { (banner(Tone::Wary, html! { p { "To change it takes the permission " code { (WRITE) } "." } })) }
            form class="stack" method="post" action={ (here) "/settings" } {
                (once(visit)) (hidden("etag", etag))
                (entered.url_field(faults))
                (entered.description_field(faults))
                (entered.picker(&types.data, faults))
                (entered.sending(&endpoint.headers, faults))
                div class="actions" { button class="button primary" disabled[!may] { "Save" } }
            }
            (as_code(visit, &Call::new("PATCH", path(&endpoint.id), WRITE).body(change)))
        }))
        (section("Signing secret", html! {
            p { "It was shown once, when it was made. Only this endpoint has it; whoever knows it can sign as well as we do." }
            div class="actions" { (link_if(may, WRITE, &format!("{here}/secret"), html! { "Replace the secret" })) }
        }))
        (section("Delete", html! {
            p { "What waits for it is cancelled, and nothing is sent to it any more. To stop for a while, disable it instead." }
            div class="actions" { (link_if(endpoint.may(me, DELETE), DELETE, &format!("{here}/delete"), html! { "Delete the endpoint" })) }
        }))
    };
    let status = faults.status();
    tabbed(visit, me, endpoint, Some(health), Tab::Settings, status, body)
}

pub(super) async fn change(visit: Visit, Segment(id): Segment, fields: Fields) -> Answer {
    let body = match Entered::of_fields(&fields).change() {
        Ok(body) => body,
        Err(faults) => return show(&visit, &id, Some(&fields), &faults).await,
    };
    let request = Request::patch(path(&id)).header(header::IF_MATCH, fields.get("etag")).json(&body);
    match visit.api.tell(request).await {
        Ok(()) => Ok(done(&format!("/console/webhooks/{id}/settings"), "endpoint-changed")),
        Err(failure) => show(&visit, &id, Some(&fields), &Faults::of(failure)?).await,
    }
}
