//! Leads.

use axum::response::Response;
use clock::Timestamp;
use http::header;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::campaigns::without_nulls;
use super::caused::Caused;
use super::{Deletion, LIVE, may, workspaces};
use crate::api::{Failure, List, Me, Request, found};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Field, Icon, Page, as_code, button_if, cell, choice, done, empty, facts, hidden, icon,
    id, json, link_if, moment, once, pager, section, status, table, text, textarea,
};
use crate::visit::{Fields, Params, Segment, Segments, Visit};

#[derive(Debug, Deserialize)]
struct Lead {
    id: String,
    email: String,
    status: String,
    first_name: Option<String>,
    last_name: Option<String>,
    company: Option<String>,
    title: Option<String>,
    campaign_id: Option<String>,
    #[serde(default)]
    custom: Value,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A campaign to choose.
#[derive(Debug, Deserialize)]
struct Campaign {
    id: String,
    name: String,
}

impl Lead {
    fn name(&self) -> String {
        let names: Vec<&str> =
            [&self.first_name, &self.last_name].into_iter().filter_map(|name| name.as_deref()).collect();
        if names.is_empty() { self.email.clone() } else { names.join(" ") }
    }
}

/// The fields of a lead that are lines of text: name in the API, label, what browsers call it.
const LINES: [(&str, &str); 5] = [
    ("email", "E-mail address"),
    ("first_name", "First name"),
    ("last_name", "Last name"),
    ("company", "Company"),
    ("title", "Title"),
];
const POINTERS: [&str; 7] =
    ["/email", "/first_name", "/last_name", "/company", "/title", "/campaign_id", "/custom"];
/// The same on the page of a lead, which has more forms.
const SHOWN: [&str; 10] = [
    "/email",
    "/first_name",
    "/last_name",
    "/company",
    "/title",
    "/campaign_id",
    "/custom",
    "/message",
    "/channel",
    "/sure",
];

fn home(workspace: &str) -> String {
    format!("/console/w/{workspace}/leads")
}

pub(super) async fn list(visit: Visit, Segment(workspace): Segment, params: Params) -> Answer {
    let asked = Request::get("/v1/leads").query("cursor", params.get("cursor")).within(&workspace);
    let (me, leads) = tokio::try_join!(Me::of(&visit.api), visit.api.ask::<List<Lead>>(asked))?;
    let home = home(&workspace);
    let body = html! {
        (workspaces(&me, &workspace, "leads"))
        @if leads.data.is_empty() {
            (empty(Icon::Lead, "No leads yet", html! { p { "A lead is somebody you might sell to. Add one here, or have a program add them with an API key." } }))
        } @else {
            (table("Leads", &["Who", "E-mail address", "Company", "State", "Changed"], html! {
                @for lead in &leads.data {
                    tr {
                        (cell("Who", html! { a class="main" href={ (home) "/" (lead.id) } { (lead.name()) } @if let Some(title) = &lead.title { br; span class="hint" { (title) } } }))
                        (cell("E-mail address", html! { (lead.email) }))
                        (cell("Company", html! { (lead.company.as_deref().unwrap_or("")) }))
                        (cell("State", status(&lead.status)))
                        (cell("Changed", moment(visit.now(), lead.updated_at)))
                    }
                }
            }))
            (pager(&home, &params, leads.next_cursor.as_deref()))
        }
        (as_code(&visit, &Call::new("GET", "/v1/leads", "leads:read").within(&workspace)))
    };
    let create = link_if(
        may(&me, &workspace, "leads:write"),
        "leads:write",
        &format!("{home}/new"),
        html! { (icon(Icon::Plus)) "New lead" },
    );
    Ok(Page::new(&visit, &me, At::Leads, "Leads")
        .within(&workspace)
        .lead(html! { (LIVE) })
        .actions(create)
        .show(body))
}

/// Campaigns to choose from: the first hundred; none without the permission to see them.
async fn campaigns(visit: &Visit, workspace: &str) -> Result<List<Campaign>, Failure> {
    let asked = Request::get("/v1/campaigns").query("limit", "100").within(workspace);
    Ok(found(visit.api.ask(asked).await)?.unwrap_or_default())
}

fn inputs(value: impl Fn(&str) -> String, campaigns: &List<Campaign>, faults: &Faults) -> Markup {
    let pointer = |name: &str| format!("/{name}");
    let options = campaigns.data.iter().map(|campaign| (campaign.id.as_str(), campaign.name.as_str()));
    let (campaign, custom) = (value("campaign_id"), value("custom"));
    // What is chosen can be left as it is, even when it is not among those that are listed.
    let unlisted = !campaign.is_empty() && campaigns.data.iter().all(|it| it.id != campaign);
    let options = options.chain(unlisted.then_some((campaign.as_str(), campaign.as_str())));
    html! {
        div class="columns" {
            @for (name, label) in LINES {
                @let entered = value(name);
                @let fault = pointer(name);
                @let field = Field::new(name, label).value(&entered).fault(faults.of_field(&fault));
                (text(if name == "email" { "email" } else { "text" }, if name == "email" { field } else { field.optional() }))
            }
            (choice(Field::new("campaign_id", "Campaign").optional().value(&campaign).fault(faults.of_field("/campaign_id")), std::iter::once(("", "None")).chain(options)))
        }
        (textarea(Field::new("custom", "Fields of your own").optional().value(&custom).hint("A JSON object, such as {\"score\": 42}.").fault(faults.of_field("/custom")), 4))
    }
}

/// What the form asks for; a fault when the fields of one's own are no JSON.
fn asked(fields: &Fields) -> Result<Value, Faults> {
    let custom = match fields.filled("custom") {
        None => json!({}),
        Some(text) => serde_json::from_str(text).map_err(|_| Faults::at("/custom", "That is not JSON."))?,
    };
    let optional = |name: &str| fields.filled(name).map_or(Value::Null, Value::from);
    let mut body =
        json!({"email": fields.get("email"), "campaign_id": optional("campaign_id"), "custom": custom});
    if let Some(body) = body.as_object_mut() {
        body.extend(LINES.iter().skip(1).map(|(name, _)| ((*name).to_owned(), optional(name))));
    }
    Ok(body)
}

pub(super) async fn form(visit: Visit, Segment(workspace): Segment) -> Answer {
    let (me, campaigns) = tokio::try_join!(Me::of(&visit.api), campaigns(&visit, &workspace))?;
    Ok(show_form(&visit, &me, &workspace, &campaigns, &Fields::default(), &Faults::default()))
}

fn show_form(
    visit: &Visit,
    me: &Me,
    workspace: &str,
    campaigns: &List<Campaign>,
    fields: &Fields,
    faults: &Faults,
) -> Response {
    let home = home(workspace);
    let example = json!({"email": fields.filled("email").unwrap_or("ada@example.com"), "company": "Analytical Engines"});
    let body = html! {
        (faults.summary(&SHOWN))
        form class="card stack" method="post" action={ (home) "/new" } {
            (once(visit))
            (inputs(|name| fields.get(name).to_owned(), campaigns, faults))
            div class="actions" { button class="button primary" { "Add the lead" } a class="button" href=(home) { "Cancel" } }
        }
        (as_code(visit, &Call::new("POST", "/v1/leads", "leads:write").within(workspace).body(example)))
    };
    Page::new(visit, me, At::Leads, "New lead")
        .within(workspace)
        .below("Leads", home.as_str())
        .status(faults.status())
        .show(body)
}

pub(super) async fn create(visit: Visit, Segment(workspace): Segment, fields: Fields) -> Answer {
    let made = match asked(&fields) {
        Ok(body) => {
            let request =
                Request::post("/v1/leads").within(&workspace).once(fields.once()).json(&without_nulls(body));
            match visit.api.ask::<Lead>(request).await {
                Ok(lead) => Ok(lead),
                Err(failure) => Err(Faults::of(failure)?),
            }
        }
        Err(faults) => Err(faults),
    };
    match made {
        Ok(lead) => Ok(done(&format!("{}/{}", home(&workspace), lead.id), "saved")),
        Err(faults) => {
            let (me, campaigns) = tokio::try_join!(Me::of(&visit.api), campaigns(&visit, &workspace))?;
            Ok(show_form(&visit, &me, &workspace, &campaigns, &fields, &faults))
        }
    }
}

pub(super) async fn one(visit: Visit, Segments(workspace, id): Segments) -> Answer {
    show(&visit, &workspace, &id, None, &Faults::default()).await
}

async fn show(
    visit: &Visit,
    workspace: &str,
    lead: &str,
    entered: Option<&Fields>,
    faults: &Faults,
) -> Answer {
    let path = format!("/v1/leads/{lead}");
    let me = Me::of(&visit.api).await?;
    let (asked, caused, campaigns) = tokio::try_join!(
        visit.api.send(Request::get(path.as_str()).within(workspace)),
        Caused::by(visit, &me, workspace, lead),
        campaigns(visit, workspace),
    )?;
    let etag = asked.header("etag").unwrap_or_default().to_owned();
    let lead: Lead = asked.read()?;
    let (home, may) = (home(workspace), |permission| may(&me, workspace, permission));
    let here = format!("{home}/{}", lead.id);
    // A reply that was not taken has a field of its own, and none of these.
    let value = |name: &str| match entered.filter(|fields| fields.has("email")) {
        Some(fields) => fields.get(name).to_owned(),
        None => lead.field(name),
    };
    let campaign = lead.campaign_id.as_deref();
    let campaign_name = campaigns
        .data
        .iter()
        .find(|it| Some(it.id.as_str()) == campaign)
        .map_or(campaign.unwrap_or(""), |it| it.name.as_str());
    let actions = html! {
        @if lead.status != "qualified" { (button_if(visit, may("leads:write"), "leads:write", &format!("{here}/qualify"), "button primary", html! { "Qualify" })) }
        (link_if(may("meetings:write"), "meetings:write", &format!("/console/w/{workspace}/meetings/new?lead_id={}", lead.id), html! { "Book a meeting" }))
    };
    let body = html! {
        (section("About", html! {
            (facts([
                ("Id", id(&lead.id)),
                ("E-mail address", html! { (lead.email) }),
                ("Company", html! { (lead.company.as_deref().unwrap_or("Not known")) }),
                ("Title", html! { (lead.title.as_deref().unwrap_or("Not known")) }),
                ("Campaign", html! { @match campaign { Some(id) => a href={ "/console/w/" (workspace) "/campaigns/" (id) } { (campaign_name) }, None => "None" } }),
                ("Made", moment(visit.now(), lead.created_at)),
                ("Changed", moment(visit.now(), lead.updated_at)),
            ]))
            @if lead.custom.as_object().is_some_and(|custom| !custom.is_empty()) { h3 { "Fields of your own" } (json(&lead.custom)) }
        }))
        (caused.show(visit, &lead.id))
        (section("Reply", html! {
            p class="hint" { "What the lead answered. It becomes an event, " code { "lead.replied" } ", and the lead counts as replied." }
            (faults.summary(&POINTERS))
            form class="stack" method="post" action={ (here) "/replies" } {
                (once(visit))
                (textarea(Field::new("message", "Message").value(entered.map_or("", |fields| fields.get("message"))).fault(faults.of_field("/message")), 3))
                (text("text", Field::new("channel", "Channel").optional().value(entered.map_or("", |fields| fields.get("channel"))).hint("Such as email or phone.").fault(faults.of_field("/channel"))))
                div class="actions" { button class="button" disabled[!may("leads:write")] { "Add the reply" } }
            }
        }))
        (section("Change", html! {
            form class="stack" method="post" action=(here) {
                (once(visit)) (hidden("etag", &etag))
                (inputs(value, &campaigns, faults))
                div class="actions" { button class="button primary" disabled[!may("leads:write")] { "Save" } }
            }
        }))
        (Deletion {
            what: "lead",
            told: "The lead and its replies are gone for good. Audit records keep no more of it than their proofs need.",
            permission: "leads:delete",
            may: may("leads:delete"),
            action: format!("{here}/delete"),
            etag: &etag,
        }.show(visit, faults))
        (as_code(visit, &Call::new("GET", path.as_str(), "leads:read").within(workspace)))
    };
    Ok(Page::new(visit, &me, At::Leads, lead.name())
        .within(workspace)
        .below("Leads", home.as_str())
        .lead(status(&lead.status))
        .actions(actions)
        .status(faults.status())
        .show(body))
}

impl Lead {
    /// What stands in a field of the form.
    fn field(&self, name: &str) -> String {
        let text = match name {
            "email" => Some(&self.email),
            "first_name" => self.first_name.as_ref(),
            "last_name" => self.last_name.as_ref(),
            "company" => self.company.as_ref(),
            "title" => self.title.as_ref(),
            "campaign_id" => self.campaign_id.as_ref(),
            _ => None,
        };
        let custom = || match &self.custom {
            Value::Object(members) if !members.is_empty() => {
                serde_json::to_string_pretty(members).unwrap_or_default()
            }
            _ => String::new(),
        };
        if name == "custom" { custom() } else { text.cloned().unwrap_or_default() }
    }
}

pub(super) async fn change(visit: Visit, Segments(workspace, id): Segments, fields: Fields) -> Answer {
    let faults = match asked(&fields) {
        Ok(body) => {
            let request = Request::patch(format!("/v1/leads/{id}"))
                .within(&workspace)
                .header(header::IF_MATCH, fields.get("etag"));
            match visit.api.tell(request.json(&body)).await {
                Ok(()) => return Ok(done(&format!("{}/{id}", home(&workspace)), "saved")),
                Err(failure) => Faults::of(failure)?,
            }
        }
        Err(faults) => faults,
    };
    show(&visit, &workspace, &id, Some(&fields), &faults).await
}

pub(super) async fn reply(visit: Visit, Segments(workspace, id): Segments, fields: Fields) -> Answer {
    let channel = fields.filled("channel").map_or(Value::Null, Value::from);
    let body = without_nulls(json!({"message": fields.get("message"), "channel": channel}));
    let request =
        Request::post(format!("/v1/leads/{id}/replies")).within(&workspace).once(fields.once()).json(&body);
    finish(&visit, &workspace, &id, &fields, request).await
}

pub(super) async fn qualify(visit: Visit, Segments(workspace, id): Segments, fields: Fields) -> Answer {
    let request = Request::post(format!("/v1/leads/{id}/qualify")).within(&workspace).once(fields.once());
    finish(&visit, &workspace, &id, &fields, request).await
}

async fn finish(visit: &Visit, workspace: &str, id: &str, fields: &Fields, request: Request) -> Answer {
    match visit.api.tell(request).await {
        Ok(()) => Ok(done(&format!("{}/{id}", home(workspace)), "saved")),
        Err(failure) => show(visit, workspace, id, Some(fields), &Faults::of(failure)?).await,
    }
}

pub(super) async fn delete(visit: Visit, Segments(workspace, id): Segments, fields: Fields) -> Answer {
    let faults = match Deletion::is_sure(&fields) {
        Ok(()) => {
            let request = Request::delete(format!("/v1/leads/{id}")).within(&workspace);
            match visit.api.tell(request.header(header::IF_MATCH, fields.get("etag"))).await {
                Ok(()) => return Ok(done(&home(&workspace), "deleted")),
                Err(failure) => Faults::of(failure)?,
            }
        }
        Err(faults) => faults,
    };
    show(&visit, &workspace, &id, None, &faults).await
}
