//! Parts that many pages have.

use maud::{Markup, html};

use super::form::{Faults, Field, text, token};
use super::icon::{Icon, icon};
use crate::api::List;
use crate::visit::{Params, Visit};

/// How something is: the word always says it, the colour only helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Wary,
    Busy,
    Quiet,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Wary => "wary",
            Self::Busy => "busy",
            Self::Quiet => "quiet",
        }
    }

    /// The tone of a status, by the API's word for it.
    pub(crate) fn of(status: &str) -> Self {
        match status {
            "active" | "enabled" | "succeeded" | "verified" | "healthy" | "ok" | "completed" | "done"
            | "qualified" | "success" | "accepted" => Self::Good,
            "dead" | "failing" | "lapsed" | "failed" | "leaked" | "failure" | "open" => Self::Bad,
            "retrying" | "expiring" | "paused" | "grace" | "degraded" | "slow" | "rotating" | "probing" => {
                Self::Wary
            }
            "pending" | "running" | "queued" | "contacted" | "replied" | "booked" => Self::Busy,
            _ => Self::Quiet,
        }
    }
}

/// A status, as the API calls it.
pub(crate) fn status(name: &str) -> Markup {
    badge(Tone::of(name), &name.replace('_', " "))
}

/// A word on a coloured ground.
pub(crate) fn badge(tone: Tone, text: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (text) } }
}

/// Something that has to be known before anything else on the page.
pub(crate) fn banner(tone: Tone, body: Markup) -> Markup {
    let glyph = match tone {
        Tone::Good => Icon::Tick,
        Tone::Bad | Tone::Wary => Icon::Warning,
        Tone::Busy | Tone::Quiet => Icon::Event,
    };
    html! { div class={ "banner " (tone.class()) } { (icon(glyph)) div { (body) } } }
}

/// A part of a page with a heading.
pub(crate) fn section(title: &str, body: Markup) -> Markup {
    html! { section class="card" { h2 { (title) } (body) } }
}

/// The same, with what can be done in it beside the heading.
pub(crate) fn section_with(title: &str, actions: Markup, body: Markup) -> Markup {
    html! { section class="card" { div class="heading" { h2 { (title) } div class="actions" { (actions) } } (body) } }
}

/// Names and values.
pub(crate) fn facts(rows: impl IntoIterator<Item = (&'static str, Markup)>) -> Markup {
    html! { dl class="facts" { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } } }
}

/// A figure with its name: a number that a page begins with.
pub(crate) fn figure(name: &str, value: Markup, note: Markup) -> Markup {
    html! { div class="figure" { p class="label" { (name) } p class="value" { (value) } p class="note" { (note) } } }
}

/// What stands where there is nothing yet: what it would be, and how to get it.
pub(crate) fn empty(glyph: Icon, title: &str, body: Markup) -> Markup {
    html! { div class="empty" { (icon(glyph)) h2 { (title) } div { (body) } } }
}

/// A table. On narrow screens each row becomes a card, in which cells are named by `data-label`: use [`cell`].
pub(crate) fn table(caption: &str, columns: &[&str], rows: Markup) -> Markup {
    html! {
        div class="table" {
            table {
                caption class="unseen" { (caption) }
                thead { tr { @for column in columns { th scope="col" { (column) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// A cell of a table.
pub(crate) fn cell(label: &str, content: Markup) -> Markup {
    html! { td data-label=(label) { div { (content) } } }
}

/// The way to the next page of a list, and back to its beginning.
pub(crate) fn pager(path: &str, params: &Params, next: Option<&str>) -> Markup {
    let first = params.filled("cursor").map(|_| params.href(path, &[("cursor", "")]));
    html! {
        @if first.is_some() || next.is_some() {
            nav class="pager" aria-label="Pages" {
                @if let Some(first) = first { a class="button small" href=(first) { "To the beginning" } }
                @if let Some(next) = next { a class="button small" href=(params.href(path, &[("cursor", next)])) rel="next" { "Next page" } }
            }
        }
    }
}

/// How many there must be before it is worth looking for one of them.
const SEVERAL: usize = 6;

/// A list that can be searched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Searched {
    /// Its page.
    pub(crate) path: &'static str,
    /// What it lists, as in "none of the members".
    pub(crate) of: &'static str,
    /// What is looked at, as in "name or address".
    pub(crate) by: &'static str,
}

impl Searched {
    /// A page of the list: its search, where there are several to look through or a search to leave; `table`, or in its place
    /// what there is to say where it would be empty, which is `teaching` if there is nothing at all.
    pub(crate) fn page<T>(
        self,
        params: &Params,
        (list, faults): (&List<T>, &Faults),
        teaching: Markup,
        table: Markup,
    ) -> Markup {
        let (is_empty, next) = (list.data.is_empty(), list.next_cursor.as_deref());
        html! {
            (faults.summary(&[FAULT]))
            @if list.data.len() >= SEVERAL || next.is_some() || params.has_any(&["search", "cursor"]) { (self.form(params, faults)) }
            @if !faults.is_empty() {
            } @else if is_empty && next.is_none() && !params.has_any(&["search", "cursor"]) {
                (teaching)
            } @else {
                @if is_empty { (self.nothing(params, next.is_some())) } @else { (table) }
                (pager(self.path, params, next))
            }
        }
    }

    fn form(self, params: &Params, faults: &Faults) -> Markup {
        let label = format!("Search by {}", self.by);
        let asked = params.get("search");
        html! {
            form class="filters search" method="get" action=(self.path) role="search" aria-label={ "Among the " (self.of) } {
                (text("search", Field::new("search", &label).optional().value(asked).fault(faults.of_field(FAULT))))
                button class="button" { "Search" }
                @if !asked.is_empty() { a class="button" href=(self.path) { "Show all" } }
            }
        }
    }

    fn nothing(self, params: &Params, goes_on: bool) -> Markup {
        let is_search = params.filled("search").is_some();
        empty(
            Icon::Find,
            if is_search { "Nothing found" } else { "None on this page" },
            html! {
                @if is_search { p { "None of the " (self.of) " has that in its " (self.by) "." } }
                @if goes_on { p { "There are more to look through: go on with the next page." } }
            },
        )
    }
}

/// Where the API points at a search that it does not take.
const FAULT: &str = "query:search";

/// A link that looks like a button, if what it leads to is permitted; else the button, and what is missing.
pub(crate) fn link_if(held: bool, permission: &str, href: &str, label: Markup) -> Markup {
    if held {
        html! { a class="button" href=(href) { (label) } }
    } else {
        unavailable(permission, label)
    }
}

/// A control that is there and cannot be used: it says which permission it takes, and who holds that.
pub(crate) fn unavailable(permission: &str, label: Markup) -> Markup {
    html! {
        span class="unavailable" {
            button type="button" disabled { (icon(Icon::Lock)) (label) }
            span class="hint" { "Needs " code { (permission) } ". " a href={ "/console/people/roles#" (permission) } { "Who has it?" } }
        }
    }
}

/// A form of one button that changes something; if it is not permitted, the button, and what is missing.
pub(crate) fn button_if(
    visit: &Visit,
    held: bool,
    permission: &str,
    action: &str,
    class: &str,
    label: Markup,
) -> Markup {
    if !held {
        return unavailable(permission, label);
    }
    html! { form class="inline" method="post" action=(action) { (super::form::once(visit)) button class=(class) { (label) } } }
}

/// A form of one button without anything to enter, which is harmless to send twice.
pub(crate) fn button(visit: &Visit, action: &str, class: &str, label: Markup) -> Markup {
    html! { form class="inline" method="post" action=(action) { (token(visit)) button class=(class) { (label) } } }
}

/// An id, to copy, and its story behind it.
pub(crate) fn id(id: &str) -> Markup {
    html! {
        span class="id" {
            code data-copyable { (id) }
            button type="button" class="icon" data-copy=(id) hidden { (icon(Icon::Copy)) span class="unseen" { "Copy " (id) } }
        }
    }
}

/// The way to everything that is known of an id.
pub(crate) fn story(id: &str) -> Markup {
    html! { a class="quiet" href={ "/console/find?id=" (id) } { "The whole story" } }
}

/// How much of what there may be is in use.
pub(crate) fn meter(name: &str, used: u64, limit: u64) -> Markup {
    let is_short = limit > 0 && used.saturating_mul(10) >= limit.saturating_mul(9);
    html! {
        div class="meter" data-short[is_short] {
            div class="label" { span { (name) } span { (used) " of " (limit) } }
            meter min="0" max=(limit.max(1)) value=(used) high=(limit.saturating_mul(9) / 10) optimum="0" aria-label=(name) { (used) " of " (limit) }
        }
    }
}

/// How far something has come, of all there is; `None` while that is not known.
pub(crate) fn progress(label: &str, done: u64, of: Option<u64>) -> Markup {
    html! {
        div class="progress" {
            @match of {
                Some(of) => progress aria-label=(label) max=(of.max(1)) value=(done) { (done) " of " (of) },
                None => progress aria-label=(label) {},
            }
            span { @match of { Some(of) => { (done) " of " (of) }, None => { (done) " so far" } } }
        }
    }
}

/// Ways to see one thing, of which one is chosen.
pub(crate) fn tabs<'a>(label: &str, tabs: impl IntoIterator<Item = (&'a str, String, bool)>) -> Markup {
    html! {
        nav class="tabs" aria-label=(label) {
            ul { @for (name, href, chosen) in tabs { li { a href=(href) aria-current=[chosen.then_some("page")] { (name) } } } }
        }
    }
}
