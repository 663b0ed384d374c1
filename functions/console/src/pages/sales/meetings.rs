//! Meetings.

use axum::response::Response;
use clock::Timestamp;
use maud::html;
use serde::Deserialize;
use serde_json::{Value, json};

use super::campaigns::without_nulls;
use super::caused::Caused;
use super::{LIVE, may, workspaces};
use crate::api::{List, Me, Request};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Field, Icon, Page, as_code, button_if, cell, done, empty, exact, facts, icon, id,
    link_if, moment, once, pager, section, status, table, text,
};
use crate::visit::{Fields, Params, Segment, Segments, Visit};

#[derive(Debug, Deserialize)]
struct Meeting {
    id: String,
    lead_id: String,
    status: String,
    starts_at: Timestamp,
    ends_at: Timestamp,
    location: Option<String>,
    created_at: Timestamp,
}

fn home(workspace: &str) -> String {
    format!("/console/w/{workspace}/meetings")
}

pub(super) async fn list(visit: Visit, Segment(workspace): Segment, params: Params) -> Answer {
    let asked = Request::get("/v1/meetings").query("cursor", params.get("cursor")).within(&workspace);
    let (me, meetings) = tokio::try_join!(Me::of(&visit.api), visit.api.ask::<List<Meeting>>(asked))?;
    let home = home(&workspace);
    let body = html! {
        (workspaces(&me, &workspace, "meetings"))
        @if meetings.data.is_empty() {
            (empty(Icon::Meeting, "No meetings yet", html! { p { "Book one with a lead: the event " code { "meeting.booked" } " goes to your webhooks." } }))
        } @else {
            (table("Meetings", &["Starts", "Where", "Lead", "State"], html! {
                @for meeting in &meetings.data {
                    tr {
                        (cell("Starts", html! { a class="main" href={ (home) "/" (meeting.id) } { (exact(meeting.starts_at)) } br; span class="hint" { (moment(visit.now(), meeting.starts_at)) } }))
                        (cell("Where", html! { (meeting.location.as_deref().unwrap_or("")) }))
                        (cell("Lead", html! { a href={ "/console/w/" (workspace) "/leads/" (meeting.lead_id) } { (meeting.lead_id) } }))
                        (cell("State", status(&meeting.status)))
                    }
                }
            }))
            (pager(&home, &params, meetings.next_cursor.as_deref()))
        }
        (as_code(&visit, &Call::new("GET", "/v1/meetings", "meetings:read").within(&workspace)))
    };
    let create = link_if(
        may(&me, &workspace, "meetings:write"),
        "meetings:write",
        &format!("{home}/new"),
        html! { (icon(Icon::Plus)) "Book a meeting" },
    );
    Ok(Page::new(&visit, &me, At::Meetings, "Meetings")
        .within(&workspace)
        .lead(html! { (LIVE) })
        .actions(create)
        .show(body))
}

pub(super) async fn form(visit: Visit, Segment(workspace): Segment, params: Params) -> Answer {
    let me = Me::of(&visit.api).await?;
    Ok(show_form(&visit, &me, &workspace, params.get("lead_id"), &Fields::default(), &Faults::default()))
}

/// A time as browsers enter it, `2026-11-27T15:30`, in UTC; anything else is left to the API to refuse.
fn time(text: &str) -> String {
    let with_seconds = if text.len() == 16 { format!("{text}:00.000Z") } else { format!("{text}.000Z") };
    Timestamp::parse(&with_seconds).map_or_else(|| text.to_owned(), |at| at.to_string())
}

fn show_form(
    visit: &Visit,
    me: &Me,
    workspace: &str,
    lead: &str,
    fields: &Fields,
    faults: &Faults,
) -> Response {
    let home = home(workspace);
    let example = json!({"lead_id": lead, "starts_at": visit.now(), "ends_at": visit.now()});
    let body = html! {
        (faults.summary(&["/lead_id", "/starts_at", "/ends_at", "/location"]))
        form class="card stack" method="post" action={ (home) "/new" } {
            (once(visit))
            (text("text", Field::new("lead_id", "Lead").value(lead).hint("Its id, lead_….").fault(faults.of_field("/lead_id"))))
            div class="columns" {
                (text("datetime-local", Field::new("starts_at", "Starts, UTC").value(fields.get("starts_at")).fault(faults.of_field("/starts_at"))))
                (text("datetime-local", Field::new("ends_at", "Ends, UTC").value(fields.get("ends_at")).fault(faults.of_field("/ends_at"))))
            }
            (text("text", Field::new("location", "Where").optional().value(fields.get("location")).fault(faults.of_field("/location"))))
            div class="actions" { button class="button primary" { "Book it" } a class="button" href=(home) { "Cancel" } }
        }
        (as_code(visit, &Call::new("POST", "/v1/meetings", "meetings:write").within(workspace).body(example)))
    };
    Page::new(visit, me, At::Meetings, "Book a meeting")
        .within(workspace)
        .below("Meetings", home.as_str())
        .status(faults.status())
        .show(body)
}

pub(super) async fn create(visit: Visit, Segment(workspace): Segment, fields: Fields) -> Answer {
    let location = fields.filled("location").map_or(Value::Null, Value::from);
    let body = json!({"lead_id": fields.get("lead_id"), "starts_at": time(fields.get("starts_at")), "ends_at": time(fields.get("ends_at")), "location": location});
    let request =
        Request::post("/v1/meetings").within(&workspace).once(fields.once()).json(&without_nulls(body));
    match visit.api.ask::<Meeting>(request).await {
        Ok(meeting) => Ok(done(&format!("{}/{}", home(&workspace), meeting.id), "saved")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let me = Me::of(&visit.api).await?;
            Ok(show_form(&visit, &me, &workspace, fields.get("lead_id"), &fields, &faults))
        }
    }
}

pub(super) async fn one(visit: Visit, Segments(workspace, id): Segments) -> Answer {
    show(&visit, &workspace, &id, &Faults::default()).await
}

async fn show(visit: &Visit, workspace: &str, meeting: &str, faults: &Faults) -> Answer {
    let path = format!("/v1/meetings/{meeting}");
    let me = Me::of(&visit.api).await?;
    let (meeting, caused) = tokio::try_join!(
        visit.api.ask::<Meeting>(Request::get(path.as_str()).within(workspace)),
        Caused::by(visit, &me, workspace, meeting),
    )?;
    let home = home(workspace);
    let actions = html! {
        @if meeting.status == "booked" {
            (button_if(visit, may(&me, workspace, "meetings:write"), "meetings:write", &format!("{home}/{}/cancel", meeting.id), "button danger", html! { "Cancel the meeting" }))
        }
    };
    let body = html! {
        (faults.summary(&[]))
        (section("About", facts([
            ("Id", id(&meeting.id)),
            ("Starts", html! { (exact(meeting.starts_at)) }),
            ("Ends", html! { (exact(meeting.ends_at)) }),
            ("Where", html! { (meeting.location.as_deref().unwrap_or("Not said")) }),
            ("Lead", html! { a href={ "/console/w/" (workspace) "/leads/" (meeting.lead_id) } { (meeting.lead_id) } }),
            ("Booked", moment(visit.now(), meeting.created_at)),
        ])))
        (caused.show(visit, &meeting.id))
        (as_code(visit, &Call::new("GET", path.as_str(), "meetings:read").within(workspace)))
    };
    Ok(Page::new(visit, &me, At::Meetings, "Meeting")
        .within(workspace)
        .below("Meetings", home.as_str())
        .lead(status(&meeting.status))
        .actions(actions)
        .status(faults.status())
        .show(body))
}

pub(super) async fn cancel(visit: Visit, Segments(workspace, id): Segments, fields: Fields) -> Answer {
    let request = Request::post(format!("/v1/meetings/{id}/cancel")).within(&workspace).once(fields.once());
    match visit.api.tell(request).await {
        Ok(()) => Ok(done(&format!("{}/{id}", home(&workspace)), "saved")),
        Err(failure) => show(&visit, &workspace, &id, &Faults::of(failure)?).await,
    }
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn a_time_is_sent_as_the_api_has_it() {
        assert_eq!(time("2026-11-27T15:30"), "2026-11-27T15:30:00.000Z");
        assert_eq!(time("2026-11-27T15:30:12"), "2026-11-27T15:30:12.000Z");
        assert_eq!(time("tomorrow"), "tomorrow");
        assert_eq!(time(""), "");
    }
}
