//! JSON, to be read by people.

use maud::{Markup, html};
use serde_json::Value;

/// What is nested deeper is closed at first.
const OPEN: usize = 2;
/// No more than so many members are shown of one list or object.
const MOST: usize = 100;

/// A value, with what is nested in it to open and close.
pub(crate) fn json(value: &Value) -> Markup {
    html! { div class="json" { (at(value, 0)) } }
}

fn at(value: &Value, depth: usize) -> Markup {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let rows = members.iter().take(MOST).map(|(name, value)| (name.as_str(), value));
            nested(&format!("{{ {} }}", counted(members.len(), "field")), rows, members.len(), depth)
        }
        Value::Array(items) if !items.is_empty() => {
            let rows = items.iter().take(MOST).map(|value| ("", value));
            nested(&format!("[ {} ]", counted(items.len(), "item")), rows, items.len(), depth)
        }
        Value::String(text) => html! { span class="text" { "\"" (text) "\"" } },
        other => html! { span class="plain" { (other.to_string()) } },
    }
}

fn nested<'a>(
    summary: &str,
    rows: impl Iterator<Item = (&'a str, &'a Value)>,
    of: usize,
    depth: usize,
) -> Markup {
    html! {
        details open[depth < OPEN] {
            summary { (summary) }
            ul {
                @for (name, value) in rows {
                    li { @if !name.is_empty() { span class="name" { (name) } ": " } (at(value, depth + 1)) }
                }
                @if of > MOST { li { "and " (of - MOST) " more" } }
            }
        }
    }
}

fn counted(count: usize, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}
