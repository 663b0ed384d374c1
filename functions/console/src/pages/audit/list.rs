//! Searching the log.

use axum::response::Response;
use maud::{Markup, html};

use super::Record;
use super::filter::{self, Filter};
use super::record::in_words;
use super::seal::Seal;
use crate::api::{List, Me};
use crate::pages::Answer;
use crate::view::{At, Call, Faults, Icon, Page, as_code, cell, empty, icon, link_if, moment, pager, table};
use crate::visit::{Params, Visit, href};

const HERE: &str = "/console/audit";

pub(super) async fn list(visit: Visit, params: Params) -> Answer {
    let filter = Filter::of(&params, visit.now());
    let records = visit.api.ask::<List<Record>>(filter.request(params.get("cursor")));
    let records = async { Faults::instead_of(records.await) };
    let (me, (records, faults)) = tokio::try_join!(Me::of(&visit.api), records)?;
    // Who may not see the log has been refused by now: once, as that goes on record.
    let seal = Seal::of(&visit.api).await?;
    Ok(show(&visit, &me, &params, &filter, &records, &faults, &seal))
}

fn show(
    visit: &Visit,
    me: &Me,
    params: &Params,
    filter: &Filter,
    records: &List<Record>,
    faults: &Faults,
    seal: &Seal,
) -> Response {
    let may_export = me.may("audit_logs:export");
    let export = href("/console/audit/exports/new", filter.pairs());
    let actions = html! {
        (link_if(may_export, "audit_logs:export", &export, html! { (icon(Icon::Download)) @if filter.is_empty() { "Export all" } @else { "Export these" } }))
        @if may_export { a class="button" href="/console/audit/exports" { "Exports" } }
    };
    let shown = filter::shown();
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    // A time told from now would be another one on the next page.
    let frozen = params.with(filter.pairs()).without("within");
    let body = html! {
        (seal.show(visit))
        (faults.summary(&shown))
        (filter.form(me, params, faults))
        @if !records.data.is_empty() {
            (table("Audit records", &["When", "What was done", "By", "To", "Address", "Outcome"], html! {
                @for record in &records.data { (row(visit, record)) }
            }))
        } @else if faults.is_empty() {
            (nothing(filter, records.next_cursor.is_some()))
        }
        (pager(HERE, &frozen, records.next_cursor.as_deref()))
        (as_code(visit, &Call::new("GET", href("/api/admin/audit-logs", filter.pairs()), "audit_logs:read")))
    };
    let lead = html! { "Every change, sign-in and refusal, with who, what, when and from where. Nobody can edit it: what is sealed shows if it was touched." };
    Page::new(visit, me, At::Audit, "Audit log")
        .lead(lead)
        .actions(actions)
        .status(faults.status())
        .show(body)
}

/// Why there are no records on the page.
fn nothing(filter: &Filter, is_more: bool) -> Markup {
    html! {
        @if is_more {
            (empty(Icon::Audit, "None so far", html! { p { "A search looks at a thousand records at a time. None of those fits; the next page goes on." } }))
        } @else if filter.is_empty() {
            (empty(Icon::Audit, "Nothing on record yet", html! { p { "Whatever is done in this organization from now on has a record here, written in the same transaction as what it tells of." } }))
        } @else {
            (empty(Icon::Audit, "No record fits", html! {
                p { "Take a filter off, or choose a longer time. Plain reads leave no record: looking at a lead or listing keys is not here." }
                p { a class="button" href=(HERE) { "Look at everything" } }
            }))
        }
    }
}

fn row(visit: &Visit, record: &Record) -> Markup {
    let marks = record.marks();
    html! {
        tr {
            (cell("When", html! { span class="nowrap" { (moment(visit.now(), record.timestamp)) } }))
            (cell("What was done", html! {
                div {
                    a class="main" href={ "/console/audit/" (record.id) } { (in_words(&record.action)) }
                    br; code class="hint" { (record.action) }
                    @if !marks.is_empty() { br; span class="hint" { (marks.join(" · ")) } }
                }
            }))
            (cell("By", record.actor.link()))
            (cell("To", html! { span { (record.resource()) } }))
            (cell("Address", html! { @if !record.ip_address.is_empty() { code class=(if record.ip_address.len() <= 15 { "nowrap" } else { "" }) { (record.ip_address) } } }))
            (cell("Outcome", html! { span { (record.outcome()) } }))
        }
    }
}
