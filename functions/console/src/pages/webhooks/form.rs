//! What an endpoint is made of, as a form: for a new one, and to change one.

use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::{Endpoint, EventType};
use crate::pages::keys::whole;
use crate::view::{Faults, Field, Icon, check, icon, number, text, textarea};
use crate::visit::Fields;

/// The fields that say themselves what is wrong with them.
pub(super) const SHOWN: &[&str] = &[
    "/url",
    "/events",
    "/workspace_id",
    "/mode",
    "/description",
    "/headers",
    "/timeout_seconds",
    "/max_retries",
    "/rate_limit_per_second",
    "/signatures",
    "/reason",
];

/// What stands in the form.
#[derive(Debug, Clone, Default)]
pub(super) struct Entered {
    pub(super) url: String,
    description: String,
    events: Vec<String>,
    /// A header to a line; those that an endpoint has are not among them, for nobody is shown their values.
    headers: String,
    /// Names of headers that are to go.
    without: Vec<String>,
    timeout_seconds: String,
    max_retries: String,
    rate_limit_per_second: String,
    asymmetric: bool,
}

impl Entered {
    pub(super) fn of_fields(fields: &Fields) -> Self {
        Self {
            url: fields.get("url").to_owned(),
            description: fields.get("description").to_owned(),
            events: fields.all("events").map(str::to_owned).collect(),
            headers: fields.get("headers").to_owned(),
            without: fields.all("without").map(str::to_owned).collect(),
            timeout_seconds: fields.get("timeout_seconds").to_owned(),
            max_retries: fields.get("max_retries").to_owned(),
            rate_limit_per_second: fields.get("rate_limit_per_second").to_owned(),
            asymmetric: fields.is_ticked("v1a"),
        }
    }

    pub(super) fn of_endpoint(endpoint: &Endpoint) -> Self {
        Self {
            url: endpoint.url.clone(),
            description: endpoint.description.clone().unwrap_or_default(),
            events: endpoint.events.clone(),
            timeout_seconds: endpoint.timeout_seconds.to_string(),
            max_retries: endpoint.max_retries.to_string(),
            rate_limit_per_second: endpoint
                .rate_limit_per_second
                .map(|rate| rate.to_string())
                .unwrap_or_default(),
            asymmetric: endpoint.signatures.iter().any(|name| name == "v1a"),
            ..Self::default()
        }
    }

    /// The event types: all of them stand for whichever there are.
    fn events(&self) -> Value {
        if self.events.iter().any(|name| name == "*") { json!(["*"]) } else { json!(self.events) }
    }

    fn signatures(&self) -> Value {
        if self.asymmetric { json!(["v1", "v1a"]) } else { json!(["v1"]) }
    }

    /// The headers that were entered: names and values. A line without a colon is no header.
    fn headers(&self) -> Result<Map<String, Value>, Faults> {
        let mut headers = Map::new();
        for line in self.headers.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| Faults::at("/headers", "Each line is a name, a colon and a value."))?;
            headers.insert(name.trim().to_owned(), value.trim().into());
        }
        Ok(headers)
    }

    /// What a new endpoint is asked for with. What was left empty is not named, and gets its default.
    pub(super) fn new_endpoint(&self) -> Result<Map<String, Value>, Faults> {
        let mut asked = Map::new();
        asked.insert("url".to_owned(), self.url.as_str().into());
        asked.insert("events".to_owned(), self.events());
        if !self.description.is_empty() {
            asked.insert("description".to_owned(), self.description.as_str().into());
        }
        let headers = self.headers()?;
        if !headers.is_empty() {
            asked.insert("headers".to_owned(), headers.into());
        }
        for (name, value) in self.numbers() {
            if !value.is_empty() {
                asked.insert(name.to_owned(), whole(value));
            }
        }
        if self.asymmetric {
            asked.insert("signatures".to_owned(), self.signatures());
        }
        Ok(asked)
    }

    /// What an endpoint is asked to become. What was left empty goes back to its default.
    pub(super) fn change(&self) -> Result<Map<String, Value>, Faults> {
        let mut asked = Map::new();
        asked.insert("url".to_owned(), self.url.as_str().into());
        asked.insert("events".to_owned(), self.events());
        let or_null = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
        asked.insert("description".to_owned(), or_null(&self.description));
        let mut headers: Map<String, Value> =
            self.without.iter().map(|name| (name.clone(), Value::Null)).collect();
        headers.extend(self.headers()?);
        if !headers.is_empty() {
            asked.insert("headers".to_owned(), headers.into());
        }
        for (name, value) in self.numbers() {
            let value = if value.is_empty() { Value::Null } else { whole(value) };
            asked.insert(name.to_owned(), value);
        }
        asked.insert("signatures".to_owned(), self.signatures());
        Ok(asked)
    }

    fn numbers(&self) -> [(&'static str, &str); 3] {
        [
            ("timeout_seconds", &self.timeout_seconds),
            ("max_retries", &self.max_retries),
            ("rate_limit_per_second", &self.rate_limit_per_second),
        ]
    }

    pub(super) fn url_field(&self, faults: &Faults) -> Markup {
        let field = Field::new("url", "URL").value(&self.url).fault(faults.of_field("/url"));
        text("url", field.hint("Where events are sent by POST: HTTPS, and reachable from anywhere."))
    }

    pub(super) fn description_field(&self, faults: &Faults) -> Markup {
        let field = Field::new("description", "Description").optional().value(&self.description);
        text("text", field.fault(faults.of_field("/description")).hint("What it is for, and whose it is."))
    }

    /// Boxes for the types of events, by what they are about.
    pub(super) fn picker(&self, types: &[EventType], faults: &Faults) -> Markup {
        let mut groups: Vec<(&str, Vec<&EventType>)> = Vec::new();
        for event in types {
            let about = event.name.split('.').next().unwrap_or_default();
            match groups.iter_mut().find(|(name, _)| *name == about) {
                Some((_, events)) => events.push(event),
                None => groups.push((about, vec![event])),
            }
        }
        let is_ticked = |name: &str| self.events.iter().any(|own| own == name);
        html! {
            fieldset class="field" data-faulty[faults.of_field("/events").is_some()] {
                legend { "Events" }
                @if let Some(fault) = faults.of_field("/events") { p class="fault" { (icon(Icon::Warning)) (fault) } }
                (check("events", "*", html! { strong { "All of them" } ", and types that are yet to come" }, is_ticked("*"), false))
                div class="picker" {
                    @for (about, events) in &groups {
                        fieldset {
                            legend { (about) }
                            @for event in events {
                                (check("events", &event.name, html! { code { (event.name) } br; span class="hint" { (event.description) } }, is_ticked(&event.name), false))
                            }
                        }
                    }
                }
            }
        }
    }

    /// How it is sent to. `present` are the names of the headers that there are already.
    pub(super) fn sending(&self, present: &[String], faults: &Faults) -> Markup {
        let headers = Field::new("headers", if present.is_empty() { "Headers" } else { "Headers to set" })
            .optional()
            .value(&self.headers)
            .fault(faults.of_field("/headers"))
            .hint("One to a line, such as X-Team: sales. They are added to each request, sealed when stored, and their values are never shown.");
        html! {
            @if !present.is_empty() {
                fieldset class="field" {
                    legend { "Headers it has" }
                    div class="ticks" {
                        @for name in present {
                            (check("without", name, html! { "Take away " code { (name) } }, self.without.contains(name), false))
                        }
                    }
                    p class="hint" { "If the URL goes to another host or port, each is given anew below, or taken away: otherwise they would be told to somebody else." }
                }
            }
            (textarea(headers, 3))
            div class="columns" {
                (number(Field::new("timeout_seconds", "Time for an attempt, in seconds").optional().value(&self.timeout_seconds).fault(faults.of_field("/timeout_seconds")).hint("30 if left empty."), (1, 30)))
                (number(Field::new("max_retries", "Retries after the first attempt").optional().value(&self.max_retries).fault(faults.of_field("/max_retries")).hint("After 1, 2, 4 minutes and so on. 4 if left empty."), (0, 12)))
                (number(Field::new("rate_limit_per_second", "Attempts a second, at most").optional().value(&self.rate_limit_per_second).fault(faults.of_field("/rate_limit_per_second")).hint("As fast as they come, if left empty."), (1, 1000)))
            }
            fieldset class="field" {
                legend { "Signatures" }
                @if let Some(fault) = faults.of_field("/signatures") { p class="fault" { (icon(Icon::Warning)) (fault) } }
                p class="hint" { "Each request is signed with HMAC-SHA256 (" code { "v1" } ")." }
                (check("v1a", "yes", html! { "With Ed25519, too (" code { "v1a" } "): verified with a public key, for receivers that cannot keep a secret" }, self.asymmetric, false))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(fields: &[(&'static str, &'static str)]) -> Entered {
        Entered::of_fields(&fields.iter().copied().collect())
    }

    #[test]
    fn what_was_left_empty_of_a_new_endpoint_is_not_named() {
        let made =
            entered(&[("url", "https://a.example/"), ("events", "lead.replied")]).new_endpoint().unwrap();
        assert_eq!(Value::from(made), json!({"url": "https://a.example/", "events": ["lead.replied"]}));
    }

    #[test]
    fn all_events_stand_alone() {
        let made = entered(&[("events", "*"), ("events", "lead.replied")]).new_endpoint().unwrap();
        assert_eq!(made.get("events"), Some(&json!(["*"])));
    }

    #[test]
    fn what_is_emptied_goes_back_to_its_default_and_headers_go_one_by_one() {
        let change = entered(&[
            ("url", "https://a.example/"),
            ("events", "*"),
            ("without", "x-old"),
            ("headers", "X-Team: sales, north\nAuthorization:Bearer a:b"),
            ("max_retries", "2"),
        ]);
        assert_eq!(
            Value::from(change.change().unwrap()),
            json!({
                "url": "https://a.example/", "events": ["*"], "description": null,
                "headers": {"x-old": null, "X-Team": "sales, north", "Authorization": "Bearer a:b"},
                "timeout_seconds": null, "max_retries": 2, "rate_limit_per_second": null, "signatures": ["v1"],
            })
        );
    }

    #[test]
    fn a_line_without_a_colon_is_no_header() {
        let faults = entered(&[("headers", "X-Team sales")]).new_endpoint().unwrap_err();
        assert!(faults.of_field("/headers").is_some());
    }
}
