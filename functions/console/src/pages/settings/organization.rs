//! Name and plan, and what is in use.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::{Organization, PATH, lacking, page, patch, read, settings_tabs};
use crate::api::Me;
use crate::pages::Answer;
use crate::view::{
    Call, Faults, Field, as_code, choice, done, facts, hidden, id, meter, moment, once, section,
    section_with, story, text,
};
use crate::visit::{Fields, Visit};

/// The plans that can be chosen; enterprise is by agreement.
const PLANS: [(&str, &str); 3] = [("starter", "Starter"), ("growth", "Growth"), ("business", "Business")];

pub(super) async fn show(visit: Visit) -> Answer {
    shown(&visit, None, &Faults::default()).await
}

async fn shown(visit: &Visit, entered: Option<&Fields>, faults: &Faults) -> Answer {
    let (me, (organization, etag)) = tokio::try_join!(Me::of(&visit.api), read(visit))?;
    let may = me.may("organization:write");
    let usage = &organization.usage;
    let body = html! {
        (settings_tabs("Organization"))
        (faults.summary(&["/name", "/plan"]))
        (section_with("About", story(&organization.id), facts([
            ("Name", html! { (organization.name) }),
            ("Id", id(&organization.id)),
            ("Plan", html! { (plan_name(&organization.plan)) }),
            ("Founded", moment(visit.now(), organization.created_at)),
        ])))
        (section("In use", html! {
            div class="meters" {
                (meter("Seats", usage.seats.used, usage.seats.limit))
                (meter("Workspaces", usage.workspaces.used, usage.workspaces.limit))
                (meter("API keys", usage.api_keys.used, usage.api_keys.limit))
                (meter("Webhook endpoints", usage.endpoints.used, usage.endpoints.limit))
                (meter("Requests an hour, given to keys", usage.requests_per_hour.used, usage.requests_per_hour.limit))
            }
            p class="hint" { "Events, deliveries and attempts are kept for " (usage.retention_days) " days; the audit log for seven years." }
        }))
        div class="split" {
            (section("Name", name_form(visit, &organization, &etag, entered, faults, may)))
            (section("Plan", plan_form(visit, &organization, &etag, entered, faults, may)))
        }
        (as_code(visit, &Call::new("PATCH", PATH, "organization:write").body(json!({"name": organization.name, "plan": organization.plan}))))
    };
    Ok(page(visit, &me, "Organization")
        .lead(html! { "What " (organization.name) " is called, what it may use, and what it asks of its people." })
        .status(faults.status())
        .show(body))
}

fn plan_name(plan: &str) -> &str {
    PLANS.iter().find(|(value, _)| *value == plan).map_or(plan, |(_, name)| name)
}

fn name_form(
    visit: &Visit,
    organization: &Organization,
    etag: &str,
    entered: Option<&Fields>,
    faults: &Faults,
    may: bool,
) -> Markup {
    let name = entered.and_then(|fields| fields.filled("name")).unwrap_or(&organization.name);
    html! {
        (lacking(may, "organization:write"))
        form class="stack" method="post" action="/console/settings" {
            (once(visit)) (hidden("etag", etag)) (hidden("what", "name"))
            (text("text", Field::new("name", "Name").value(name).fault(faults.of_field("/name")).hint("It stands in mails and invitations.")))
            div class="actions" { button class="button primary" disabled[!may] { "Rename" } }
        }
    }
}

fn plan_form(
    visit: &Visit,
    organization: &Organization,
    etag: &str,
    entered: Option<&Fields>,
    faults: &Faults,
    may: bool,
) -> Markup {
    let plan = entered.and_then(|fields| fields.filled("plan")).unwrap_or(&organization.plan);
    let agreed = Some((organization.plan.as_str(), "Enterprise")).filter(|(plan, _)| *plan == "enterprise");
    html! {
        form class="stack" method="post" action="/console/settings" {
            (once(visit)) (hidden("etag", etag)) (hidden("what", "plan"))
            (choice(Field::new("plan", "Plan").value(plan).fault(faults.of_field("/plan")).hint("A smaller one must hold what is in use; what is too much is named before anything changes. Enterprise is by agreement."), PLANS.into_iter().chain(agreed)))
            div class="actions" { button class="button" disabled[!may] { "Change the plan" } }
        }
    }
}

pub(super) async fn change(visit: Visit, fields: Fields) -> Answer {
    let (body, notice): (Value, _) = match fields.get("what") {
        "plan" => (json!({"plan": fields.get("plan")}), "plan-changed"),
        _ => (json!({"name": fields.get("name")}), "organization-renamed"),
    };
    match visit.api.tell(patch(fields.get("etag"), &body)).await {
        Ok(()) => Ok(done("/console/settings", notice)),
        Err(failure) => shown(&visit, Some(&fields), &Faults::of(failure)?).await,
    }
}
