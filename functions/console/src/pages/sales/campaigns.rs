//! Campaigns.

use axum::extract::Path;
use axum::response::Response;
use clock::Timestamp;
use http::header;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::caused::Caused;
use super::{Deletion, LIVE, may, workspaces};
use crate::api::{List, Me, Ours, Request};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Field, Icon, Page, as_code, button_if, cell, done, empty, facts, hidden, icon, id,
    link_if, moment, once, pager, section, status, table, text, textarea,
};
use crate::visit::{Fields, Params, Segment, Segments, Visit};

#[derive(Debug, Deserialize)]
struct Campaign {
    id: String,
    name: String,
    description: Option<String>,
    goal: Option<String>,
    status: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

fn home(workspace: &str) -> String {
    format!("/console/w/{workspace}/campaigns")
}

pub(super) async fn list(visit: Visit, Segment(workspace): Segment, params: Params) -> Answer {
    let asked = Request::get("/v1/campaigns").query("cursor", params.get("cursor")).within(&workspace);
    let (me, campaigns) = tokio::try_join!(Me::of(&visit.api), visit.api.ask::<List<Campaign>>(asked))?;
    let home = home(&workspace);
    let body = html! {
        (workspaces(&me, &workspace, "campaigns"))
        @if campaigns.data.is_empty() {
            (empty(Icon::Campaign, "No campaigns yet", html! { p { "A campaign is what you set out to do with leads. Make one, start it, and its events go to your webhooks." } }))
        } @else {
            (table("Campaigns", &["Name", "State", "Goal", "Changed"], html! {
                @for campaign in &campaigns.data {
                    tr {
                        (cell("Name", html! { a class="main" href={ (home) "/" (campaign.id) } { (campaign.name) } }))
                        (cell("State", status(&campaign.status)))
                        (cell("Goal", html! { (campaign.goal.as_deref().unwrap_or("")) }))
                        (cell("Changed", moment(visit.now(), campaign.updated_at)))
                    }
                }
            }))
            (pager(&home, &params, campaigns.next_cursor.as_deref()))
        }
        (as_code(&visit, &Call::new("GET", "/v1/campaigns", "campaigns:read").within(&workspace)))
    };
    let create = link_if(
        may(&me, &workspace, "campaigns:write"),
        "campaigns:write",
        &format!("{home}/new"),
        html! { (icon(Icon::Plus)) "New campaign" },
    );
    Ok(Page::new(&visit, &me, At::Campaigns, "Campaigns")
        .within(&workspace)
        .lead(html! { (LIVE) })
        .actions(create)
        .show(body))
}

pub(super) async fn form(visit: Visit, Segment(workspace): Segment) -> Answer {
    let me = Me::of(&visit.api).await?;
    Ok(show_form(&visit, &me, &workspace, &Fields::default(), &Faults::default()))
}

fn inputs(name: &str, goal: &str, description: &str, faults: &Faults) -> Markup {
    html! {
        (text("text", Field::new("name", "Name").value(name).fault(faults.of_field("/name"))))
        (text("text", Field::new("goal", "Goal").optional().value(goal).fault(faults.of_field("/goal"))))
        (textarea(Field::new("description", "Description").optional().value(description).fault(faults.of_field("/description")), 4))
    }
}

fn asked(fields: &Fields) -> Value {
    let optional = |name| fields.filled(name).map_or(Value::Null, Value::from);
    json!({"name": fields.get("name"), "goal": optional("goal"), "description": optional("description")})
}

fn show_form(visit: &Visit, me: &Me, workspace: &str, fields: &Fields, faults: &Faults) -> Response {
    let home = home(workspace);
    let example = json!({"name": fields.filled("name").unwrap_or("Spring outreach")});
    let body = html! {
        (faults.summary(&["/name", "/goal", "/description"]))
        form class="card stack" method="post" action={ (home) "/new" } {
            (once(visit))
            (inputs(fields.get("name"), fields.get("goal"), fields.get("description"), faults))
            div class="actions" { button class="button primary" { "Make the campaign" } a class="button" href=(home) { "Cancel" } }
        }
        (as_code(visit, &Call::new("POST", "/v1/campaigns", "campaigns:write").within(workspace).body(example)))
    };
    Page::new(visit, me, At::Campaigns, "New campaign")
        .within(workspace)
        .below("Campaigns", home.as_str())
        .status(faults.status())
        .show(body)
}

pub(super) async fn create(visit: Visit, Segment(workspace): Segment, fields: Fields) -> Answer {
    let request = Request::post("/v1/campaigns")
        .within(&workspace)
        .once(fields.once())
        .json(&without_nulls(asked(&fields)));
    match visit.api.ask::<Campaign>(request).await {
        Ok(campaign) => Ok(done(&format!("{}/{}", home(&workspace), campaign.id), "saved")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let me = Me::of(&visit.api).await?;
            Ok(show_form(&visit, &me, &workspace, &fields, &faults))
        }
    }
}

/// What is not there is not sent.
pub(super) fn without_nulls(body: Value) -> Value {
    match body {
        Value::Object(members) => {
            Value::Object(members.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}

pub(super) async fn one(visit: Visit, Segments(workspace, id): Segments) -> Answer {
    show(&visit, &workspace, &id, None, &Faults::default()).await
}

async fn show(
    visit: &Visit,
    workspace: &str,
    campaign: &str,
    entered: Option<&Fields>,
    faults: &Faults,
) -> Answer {
    let path = format!("/v1/campaigns/{campaign}");
    let me = Me::of(&visit.api).await?;
    let (asked, caused) = tokio::try_join!(
        visit.api.send(Request::get(path.as_str()).within(workspace)),
        Caused::by(visit, &me, workspace, campaign),
    )?;
    let etag = asked.header("etag").unwrap_or_default().to_owned();
    let campaign: Campaign = asked.read()?;
    let (home, may) = (home(workspace), |permission| may(&me, workspace, permission));
    let here = format!("{home}/{}", campaign.id);
    let step = |name: &str, label: &str, class: &str| {
        button_if(
            visit,
            may("campaigns:write"),
            "campaigns:write",
            &format!("{here}/{name}"),
            class,
            html! { (label) },
        )
    };
    let actions = html! {
        @match campaign.status.as_str() {
            "draft" => (step("start", "Start", "button primary")),
            "paused" => { (step("start", "Go on", "button primary")) (step("complete", "Complete", "button")) },
            "running" => { (step("pause", "Pause", "button")) (step("complete", "Complete", "button")) },
            _ => {}
        }
    };
    let (name, goal, description) = match entered {
        Some(fields) => (fields.get("name"), fields.get("goal"), fields.get("description")),
        None => (
            campaign.name.as_str(),
            campaign.goal.as_deref().unwrap_or(""),
            campaign.description.as_deref().unwrap_or(""),
        ),
    };
    let body = html! {
        (section("About", facts([
            ("Id", id(&campaign.id)),
            ("Goal", html! { (campaign.goal.as_deref().unwrap_or("None")) }),
            ("Description", html! { (campaign.description.as_deref().unwrap_or("None")) }),
            ("Made", moment(visit.now(), campaign.created_at)),
            ("Changed", moment(visit.now(), campaign.updated_at)),
        ])))
        (caused.show(visit, &campaign.id))
        (section("Change", html! {
            (faults.summary(&["/name", "/goal", "/description", "/sure"]))
            form class="stack" method="post" action=(here) {
                (once(visit)) (hidden("etag", &etag))
                (inputs(name, goal, description, faults))
                div class="actions" { button class="button primary" disabled[!may("campaigns:write")] { "Save" } }
            }
        }))
        (Deletion {
            what: "campaign",
            told: "It is gone for good. Its leads stay.",
            permission: "campaigns:delete",
            may: may("campaigns:delete"),
            action: format!("{here}/delete"),
            etag: &etag,
        }.show(visit, faults))
        (as_code(visit, &Call::new("GET", path.as_str(), "campaigns:read").within(workspace)))
    };
    Ok(Page::new(visit, &me, At::Campaigns, campaign.name.as_str())
        .within(workspace)
        .below("Campaigns", home.as_str())
        .lead(status(&campaign.status))
        .actions(actions)
        .status(faults.status())
        .show(body))
}

pub(super) async fn change(visit: Visit, Segments(workspace, id): Segments, fields: Fields) -> Answer {
    let request = Request::patch(format!("/v1/campaigns/{id}"))
        .within(&workspace)
        .header(header::IF_MATCH, fields.get("etag"));
    match visit.api.tell(request.json(&asked(&fields))).await {
        Ok(()) => Ok(done(&format!("{}/{id}", home(&workspace)), "saved")),
        Err(failure) => show(&visit, &workspace, &id, Some(&fields), &Faults::of(failure)?).await,
    }
}

pub(super) async fn act(
    visit: Visit,
    Path((workspace, id, action)): Path<(String, String, String)>,
    fields: Fields,
) -> Answer {
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_plain(&workspace) || !is_plain(&id) {
        return Err(Ours::NoSuchPage.into());
    }
    let here = format!("{}/{id}", home(&workspace));
    let (request, to, notice) = match action.as_str() {
        "start" | "pause" | "complete" => {
            (Request::post(format!("/v1/campaigns/{id}/{action}")).once(fields.once()), here, "saved")
        }
        "delete" => {
            if let Err(faults) = Deletion::is_sure(&fields) {
                return show(&visit, &workspace, &id, None, &faults).await;
            }
            let request = Request::delete(format!("/v1/campaigns/{id}"));
            (request.header(header::IF_MATCH, fields.get("etag")), home(&workspace), "deleted")
        }
        _ => return Err(Ours::NoSuchPage.into()),
    };
    match visit.api.tell(request.within(&workspace)).await {
        Ok(()) => Ok(done(&to, notice)),
        Err(failure) => show(&visit, &workspace, &id, None, &Faults::of(failure)?).await,
    }
}
