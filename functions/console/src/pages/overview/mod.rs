//! What there is to know first: `/console`.

mod attention;
mod first_steps;

use axum::Router;
use axum::routing::get;
use clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::attention::Attention;
use crate::Console;
use crate::api::{Failure, List, Me, Request};
use crate::pages::Answer;
use crate::pages::requests::{Requests, label};
use crate::view::{At, Bar, Call, Chart, Page, Series, as_code, figure, section_with, tabs, unavailable};
use crate::visit::{Params, Visit};

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/", get(overview))
}

/// What was sent to endpoints.
#[derive(Debug, Deserialize)]
struct Sent {
    total: Attempts,
    data: Vec<SentBucket>,
}

#[derive(Debug, Deserialize)]
struct SentBucket {
    start: Timestamp,
    #[serde(flatten)]
    attempts: Attempts,
}

#[derive(Debug, Deserialize)]
struct Attempts {
    succeeded: u64,
    failed: u64,
    dead_letters: u64,
}

/// The organization, as far as it is shown here.
#[derive(Debug, Deserialize)]
struct Organization {
    usage: Usage,
}

#[derive(Debug, Deserialize)]
struct Usage {
    seats: Use,
    workspaces: Use,
    api_keys: Use,
    endpoints: Use,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Use {
    used: u64,
    limit: u64,
}

impl Use {
    /// Whether nine of ten are in use.
    fn is_short(self) -> bool {
        self.limit > 0 && self.used.saturating_mul(10) >= self.limit.saturating_mul(9)
    }
}

/// Asks for something that a role may see or not. What it may not is not asked for, as a refusal would be on record; then there is
/// nothing, and the page says so.
async fn seen<T: DeserializeOwned>(
    visit: &Visit,
    me: &Me,
    permission: &str,
    request: Request,
) -> Result<Option<T>, Failure> {
    if !me.may_somewhere(permission) {
        return Ok(None);
    }
    match visit.api.ask(request).await {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.code() == "forbidden" => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn overview(visit: Visit, params: Params) -> Answer {
    let is_month = params.get("span") == "30d";
    let granularity = if is_month { "day" } else { "hour" };
    let usage = Request::get("/api/admin/api-keys/usage").query("granularity", granularity);
    let stats = Request::get("/api/admin/webhooks/stats").query("granularity", granularity);
    let organization = Request::get("/api/admin/organization");
    let me = Me::of(&visit.api).await?;
    let (used, sent, organization, attention) = tokio::try_join!(
        seen::<Requests>(&visit, &me, "api_keys:read", usage),
        seen::<Sent>(&visit, &me, "webhooks:read", stats),
        seen::<Organization>(&visit, &me, "organization:read", organization),
        Attention::look(&visit, &me),
    )?;
    let spans = [
        ("24 hours", "/console".to_owned(), !is_month),
        ("30 days", "/console?span=30d".to_owned(), is_month),
    ];
    let body = html! {
        (attention.show(&visit, &me, organization.as_ref()))
        (first_steps::show(&visit, &me, &attention, used.as_ref()))
        (figures(used.as_ref(), sent.as_ref(), organization.as_ref(), if is_month { "in 30 days" } else { "in 24 hours" }))
        (section_with("Requests with API keys", tabs("Time of requests", spans.clone()), requests(used.as_ref(), is_month)))
        (section_with("Webhooks sent", tabs("Time of webhooks", spans), deliveries(sent.as_ref(), is_month)))
        (as_code(&visit, &Call::new("GET", format!("/api/admin/webhooks/stats?granularity={granularity}"), "webhooks:read")))
    };
    let lead = html! { "How " (me.organization.name) " does, and what needs somebody. Times are in UTC." };
    Ok(Page::new(&visit, &me, At::Overview, "Overview").lead(lead).show(body))
}

fn figures(
    used: Option<&Requests>,
    sent: Option<&Sent>,
    organization: Option<&Organization>,
    span: &str,
) -> Markup {
    let share = |part: u64, of: u64| {
        let tenths = (of > 0).then(|| part.saturating_mul(1000) / of);
        tenths.map(|tenths| format!("{}.{} %", tenths / 10, tenths % 10))
    };
    html! {
        div class="figures" {
            @if let Some(used) = used {
                (figure("Requests", html! { (used.total.requests) }, html! { (span) }))
                (figure("Over the limit", html! { (used.total.rate_limited) }, html! { "refused " (span) }))
            }
            @if let Some(sent) = sent {
                @let all = sent.total.succeeded + sent.total.failed;
                (figure("Attempts", html! { (all) }, html! { @match share(sent.total.succeeded, all) { Some(share) => { (share) " succeeded" }, None => "nothing was sent" } }))
                (figure("Dead letters", html! { (sent.total.dead_letters) }, html! { "new " (span) }))
            }
            @if let Some(Organization { usage }) = organization {
                (figure("Seats", html! { (usage.seats.used) }, html! { "of " (usage.seats.limit) }))
                (figure("API keys", html! { (usage.api_keys.used) }, html! { "of " (usage.api_keys.limit) }))
            }
        }
    }
}

fn requests(used: Option<&Requests>, is_month: bool) -> Markup {
    match used {
        None => unavailable("api_keys:read", html! { "Requests" }),
        Some(used) if used.are_none() => html! { p class="hint" { "No requests in this time." } },
        Some(used) => used.draw(!is_month),
    }
}

fn deliveries(sent: Option<&Sent>, is_month: bool) -> Markup {
    const SERIES: &[Series] =
        &[Series { name: "succeeded", class: "good" }, Series { name: "failed", class: "bad" }];
    let Some(sent) = sent else { return unavailable("webhooks:read", html! { "Webhooks" }) };
    if sent.total.succeeded + sent.total.failed == 0 {
        return html! { p class="hint" { "Nothing was sent in this time." } };
    }
    let bars = sent.data.iter().map(|bucket| Bar {
        label: label(bucket.start, !is_month),
        values: vec![bucket.attempts.succeeded, bucket.attempts.failed],
    });
    Chart { title: "Attempts", series: SERIES, bars: bars.collect() }.draw()
}

/// A page of a list of which no more is told than how many there are.
type Counted = List<serde::de::IgnoredAny>;
