//! What of the log is looked for: read from the address, asked of the API, shown in the form.

use std::time::Duration;

use clock::Timestamp;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::record::{actions, in_words};
use crate::api::{Me, Request};
use crate::view::{Faults, Field, Icon, choice, hidden, icon, instant, tabs, text};
use crate::visit::Params;

const HERE: &str = "/console/audit";

/// The parameters that narrow a search, as the API has them.
const NAMES: [&str; 12] = [
    "from",
    "to",
    "actor",
    "action",
    "resource_type",
    "resource_id",
    "workspace_id",
    "outcome",
    "pii_accessed",
    "sensitive",
    "compliance_relevant",
    "request_id",
];

/// Those of them that are asked for less often.
const FURTHER: [&str; 7] = [
    "resource_type",
    "resource_id",
    "workspace_id",
    "request_id",
    "pii_accessed",
    "sensitive",
    "compliance_relevant",
];

const FLAGS: [&str; 3] = ["pii_accessed", "sensitive", "compliance_relevant"];

/// Where the API points at what cannot be looked for, and a field says so itself: a flag has none.
pub(super) fn shown() -> Vec<String> {
    NAMES.iter().filter(|name| !FLAGS.contains(name)).map(|name| format!("query:{name}")).collect()
}

/// Times that are told from now, with their names.
const WITHIN: [(&str, &str, u64); 4] = [
    ("1h", "Last hour", 60 * 60),
    ("24h", "24 hours", 24 * 60 * 60),
    ("7d", "7 days", 7 * 24 * 60 * 60),
    ("30d", "30 days", 30 * 24 * 60 * 60),
];

/// What of the log is looked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    /// By parameter; times as the API has them.
    values: Vec<(&'static str, String)>,
    /// A time that is told from now, as long as no other is.
    within: Option<&'static str>,
}

impl Filter {
    pub(super) fn of(params: &Params, now: Timestamp) -> Self {
        let mut filter = Self::default();
        for name in NAMES {
            if let Some(value) = params.filled(name) {
                let is_time = matches!(name, "from" | "to");
                let value = if is_time { time(value) } else { value.to_owned() };
                filter.values.push((name, value));
            }
        }
        if filter.get("from").is_empty() && filter.get("to").is_empty() {
            let within = WITHIN.iter().find(|(name, _, _)| *name == params.get("within"));
            if let Some((name, _, seconds)) = within {
                filter.within = Some(name);
                // To the second, as a form has it: the address of the next page has to say the same.
                let from = now - Duration::from_secs(*seconds);
                filter.values.push(("from", Timestamp::from_seconds(from.seconds()).to_string()));
            }
        }
        filter
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.values.iter().find(|(own, _)| *own == name).map_or("", |(_, value)| value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Names and values, for an address that always shows the same.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether nothing but a time is asked for: an export then proves that nothing is missing from it.
    pub(super) fn is_of_time_only(&self) -> bool {
        self.values.iter().all(|(name, _)| matches!(*name, "from" | "to"))
    }

    /// The search.
    pub(super) fn request(&self, cursor: &str) -> Request {
        let request = Request::get("/api/admin/audit-logs").query("cursor", cursor);
        self.pairs().fold(request, |request, (name, value)| request.query(name, value))
    }

    /// The body of an export of just that.
    pub(super) fn body(&self, format: &str) -> Map<String, Value> {
        let mut body = Map::from_iter([("format".to_owned(), Value::from(format))]);
        for (name, value) in self.pairs() {
            let value = match (FLAGS.contains(&name), value) {
                (true, "true") => Value::from(true),
                (true, "false") => Value::from(false),
                _ => Value::from(value),
            };
            body.insert(name.to_owned(), value);
        }
        body
    }

    /// What is looked for, a phrase for each part; `None` for what does not matter.
    pub(super) fn phrases(&self, me: &Me) -> Vec<(&'static str, String)> {
        self.values.iter().map(|(name, value)| (*name, phrase(me, name, value))).collect()
    }

    /// The form, the times to choose from, and what is chosen, each part to be taken off again.
    pub(super) fn form(&self, me: &Me, params: &Params, faults: &Faults) -> Markup {
        let fault = |name: &str| faults.of_field(&format!("query:{name}"));
        let field = |name: &'static str, label: &'static str| {
            Field::new(name, label).value(self.get(name)).optional().fault(fault(name))
        };
        // A time that is told from now stands in the tabs, not in the form.
        let shown = |name: &str| if self.within.is_some() { String::new() } else { local(self.get(name)) };
        let (from, to) = (shown("from"), shown("to"));
        let workspaces =
            me.workspaces.iter().map(|workspace| (workspace.id.as_str(), workspace.name.as_str()));
        let workspace = self.get("workspace_id");
        let elsewhere =
            (!workspace.is_empty() && me.workspace(workspace).is_none()).then_some((workspace, workspace));
        let either = |yes| [("", "Any"), ("true", yes), ("false", "No")];
        let is_further = FURTHER.iter().any(|name| !self.get(name).is_empty() || fault(name).is_some());
        html! {
            (self.times(params))
            form class="card stack search" method="get" action=(HERE) {
                @if let Some(within) = self.within { (hidden("within", within)) }
                div class="grid" {
                    (listed(field("action", "Action"), "actions"))
                    datalist id="actions" { @for (name, words) in actions() { option value=(name) { (words) } } }
                    (text("text", field("actor", "By").hint("usr_…, key_… or a part of the system")))
                    (choice(field("outcome", "Outcome"), [("", "Any"), ("success", "Done"), ("failure", "Refused")]))
                    (instant(field("from", "From (UTC)").value(&from)))
                    (instant(field("to", "Before (UTC)").value(&to)))
                }
                details open[is_further] {
                    summary { "More filters" }
                    div class="grid" {
                        (text("text", field("resource_type", "Kind of thing").hint("lead, api_key, endpoint…")))
                        (text("text", field("resource_id", "Thing").hint("Its id")))
                        (text("text", field("request_id", "Request").hint("Its id")))
                        (choice(field("workspace_id", "Workspace"), std::iter::once(("", "Any")).chain(workspaces).chain(elsewhere)))
                        (choice(field("pii_accessed", "Personal data"), either("Read or written")))
                        (choice(field("sensitive", "Credentials, permissions"), either("Touched")))
                        (choice(field("compliance_relevant", "For auditors"), either("It matters")))
                    }
                }
                div class="actions" {
                    button class="button primary" { (icon(Icon::Find)) "Search" }
                    @if !self.is_empty() { a class="button" href=(HERE) { "Everything" } }
                }
            }
            (self.chips(me, params))
        }
    }

    fn times(&self, params: &Params) -> Markup {
        let to =
            |within: &str| params.href(HERE, &[("within", within), ("from", ""), ("to", ""), ("cursor", "")]);
        let is_all = self.get("from").is_empty() && self.get("to").is_empty();
        let ranges = WITHIN.iter().map(|(name, words, _)| (*words, to(name), self.within == Some(*name)));
        tabs("Time", std::iter::once(("Any time", to(""), is_all)).chain(ranges))
    }

    fn chips(&self, me: &Me, params: &Params) -> Markup {
        let parts: Vec<_> = self
            .phrases(me)
            .into_iter()
            .filter(|(name, _)| *name != "from" || self.within.is_none())
            .collect();
        html! {
            @if !parts.is_empty() {
                ul class="chips" aria-label="What is looked for" {
                    @for (name, words) in &parts {
                        li {
                            span { (words) }
                            a href=(params.href(HERE, &[(name, ""), ("cursor", "")])) { (icon(Icon::Cross)) span class="unseen" { "No longer: " (words) } }
                        }
                    }
                }
            }
        }
    }
}

/// A part of a search, in words.
pub(super) fn phrase(me: &Me, name: &str, value: &str) -> String {
    let flag = |yes: &str, no: &str| if value == "false" { no.to_owned() } else { yes.to_owned() };
    match name {
        "from" => format!("from {}", shown_time(value)),
        "to" => format!("before {}", shown_time(value)),
        "actor" => format!("by {value}"),
        "action" => format!("{} ({value})", in_words(value)),
        "resource_type" => format!("of a kind: {}", value.replace('_', " ")),
        "resource_id" => format!("to {value}"),
        "workspace_id" => format!("in {}", me.workspace_name(value)),
        "outcome" => flag(if value == "failure" { "refused" } else { "done" }, "done"),
        "pii_accessed" => flag("with personal data", "without personal data"),
        "sensitive" => flag("credentials or permissions touched", "no credentials or permissions touched"),
        "compliance_relevant" => flag("of interest to auditors", "of no special interest to auditors"),
        "request_id" => format!("in request {value}"),
        _ => format!("{name}: {value}"),
    }
}

/// A field that suggests what may stand in it.
fn listed(field: Field<'_>, list: &str) -> Markup {
    html! {
        div class="field" data-faulty[field.fault.is_some()] {
            label for=(field.name) { (field.label) span class="optional" { " optional" } }
            input type="text" id=(field.name) name=(field.name) value=(field.value) list=(list) autocomplete="off"
                aria-describedby={ (field.name) "-hint" } aria-invalid=[field.fault.map(|_| "true")];
            @if let Some(fault) = field.fault { p class="fault" { (icon(Icon::Warning)) (fault) } }
            p class="hint" id={ (field.name) "-hint" } { "lead.create, api_key.rotate…" }
        }
    }
}

/// A time as the API has it, from what stands in an address: with or without zone, seconds or time of day; UTC where nothing
/// else is said. What is no time is left to the API to refuse.
fn time(text: &str) -> String {
    let candidates =
        [text.to_owned(), format!("{text}Z"), format!("{text}:00Z"), format!("{text}T00:00:00Z")];
    let read = candidates.iter().find_map(|candidate| Timestamp::parse(candidate));
    read.map_or_else(|| text.to_owned(), |at| at.to_string())
}

/// A time as a field of a form has it.
fn local(text: &str) -> String {
    let at = Timestamp::parse(text).map(|at| at.to_string());
    at.and_then(|at| at.get(..19).map(str::to_owned)).unwrap_or_default()
}

fn shown_time(text: &str) -> String {
    Timestamp::parse(text).map_or_else(|| text.to_owned(), crate::view::exact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filter(query: &str) -> Filter {
        Filter::of(&Params::read(query), clock::utc(2026, 11, 22, 15, 4))
    }

    #[test]
    fn a_time_is_read_as_forms_and_people_write_it() {
        for (written, read) in [
            ("2026-11-22T15:04:05.123Z", "2026-11-22T15:04:05.123Z"),
            ("2026-11-22T16:04:05+01:00", "2026-11-22T15:04:05.000Z"),
            ("2026-11-22T15:04:05", "2026-11-22T15:04:05.000Z"),
            ("2026-11-22T15:04", "2026-11-22T15:04:00.000Z"),
            ("2026-11-22", "2026-11-22T00:00:00.000Z"),
            ("yesterday", "yesterday"),
        ] {
            assert_eq!(time(written), read);
        }
        assert_eq!(local("2026-11-22T15:04:05.123Z"), "2026-11-22T15:04:05");
        assert_eq!(local("yesterday"), "");
    }

    #[test]
    fn a_time_told_from_now_gives_way_to_one_that_is_entered() {
        let within = filter("within=24h&actor=usr_1");
        assert_eq!(within.get("from"), "2026-11-21T15:04:00.000Z");
        assert!(!within.is_of_time_only());
        let entered = filter("within=24h&to=2026-11-22T15:00");
        assert_eq!((entered.get("from"), entered.get("to")), ("", "2026-11-22T15:00:00.000Z"));
        assert!(entered.is_of_time_only() && entered.within.is_none());
        assert!(filter("within=century&unknown=1").is_empty());
    }

    #[test]
    fn an_export_asks_for_what_the_search_asked_for() {
        let body = filter("outcome=failure&sensitive=true&pii_accessed=false&from=2026-11-22").body("csv");
        assert_eq!(
            Value::Object(body),
            json!({"format": "csv", "outcome": "failure", "sensitive": true, "pii_accessed": false, "from": "2026-11-22T00:00:00.000Z"})
        );
    }
}
