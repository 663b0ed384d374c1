//! Exports of the log: what is shown, as a file that proves itself.

use axum::response::Response;
use clock::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::filter::{Filter, phrase};
use crate::api::{List, Me, Request};
use crate::pages::Answer;
use crate::view::{
    At, Call, Faults, Field, Icon, Page, Tone, as_code, banner, cell, choice, copyable, done, empty, exact,
    facts, fragment, icon, id, link_if, live, moment, once, pager, progress, section, status, table, to_page,
};
use crate::visit::{Fields, Params, Segment, Visit, Watch, href};

const PATH: &str = "/api/admin/audit-logs/exports";
const HERE: &str = "/console/audit/exports";
const PERMISSION: &str = "audit_logs:export";

/// An export, as the API tells of it.
#[derive(Debug, Deserialize)]
struct Export {
    id: String,
    status: String,
    format: String,
    #[serde(default)]
    filter: Map<String, Value>,
    progress: Progress,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    proofs: Option<File>,
    #[serde(default)]
    links: Option<Links>,
    #[serde(default)]
    reason: Option<String>,
    requested_by: String,
    created_at: Timestamp,
    #[serde(default)]
    finished_at: Option<Timestamp>,
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Progress {
    records: u64,
    #[serde(default)]
    total: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct File {
    size: u64,
    sha256: String,
}

#[derive(Debug, Deserialize)]
struct Links {
    file: String,
    #[serde(default)]
    proofs: Option<String>,
    expires_at: Timestamp,
}

impl Export {
    /// What it is of, a phrase for each part.
    fn phrases(&self, me: &Me) -> Vec<String> {
        let given = self.filter.iter().filter_map(|(name, value)| match value {
            Value::Null => None,
            Value::String(text) => Some(phrase(me, name, text)),
            other => Some(phrase(me, name, &other.to_string())),
        });
        given.collect()
    }

    fn is_over(&self) -> bool {
        !matches!(self.status.as_str(), "queued" | "running")
    }

    /// What the file is called when it is downloaded, which is what the command to verify it needs.
    fn file_name(&self, extension: &str) -> String {
        format!("audit-log-{}-{}.{extension}", self.created_at.day(), self.id)
    }
}

const FORMATS: [(&str, &str); 2] = [
    ("ndjson", "NDJSON: one file, with its proofs in it"),
    ("csv", "CSV: a table, with its proofs in a second file"),
];

pub(super) async fn form(visit: Visit, params: Params) -> Answer {
    let me = Me::of(&visit.api).await?;
    let filter = Filter::of(&params, visit.now());
    Ok(show_form(&visit, &me, &filter, "ndjson", &Faults::default()))
}

fn show_form(visit: &Visit, me: &Me, filter: &Filter, format: &str, faults: &Faults) -> Response {
    let may = me.may(PERMISSION);
    let phrases = filter.phrases(me);
    let back = href("/console/audit", filter.pairs());
    // The filter is in the address that the form is sent to: it is shown again as it was.
    let body = html! {
        (faults.summary(&["/format"]))
        @if !may { (banner(Tone::Wary, html! { p { "This takes the permission " code { (PERMISSION) } ", which your role does not hold." } })) }
        form class="card stack" method="post" action=(href("/console/audit/exports/new", filter.pairs())) {
            (once(visit))
            div {
                h2 { "What is in it" }
                @if phrases.is_empty() { p { "The whole log, from its first record on." } }
                @else { ul class="chips" { @for (_, words) in &phrases { li { span { (words) } } } } }
                p class="hint" { a href=(back) { "Look at these records, or change what is looked for" } }
            }
            @if filter.is_of_time_only() {
                (banner(Tone::Good, html! { p { "It proves that nothing is missing from it, altered or out of order." } }))
            } @else {
                (banner(Tone::Wary, html! { p { "It proves of each record that it is as it was written. With filters other than a time it cannot prove that none is missing." } }))
            }
            (choice(Field::new("format", "Format").value(format).fault(faults.of_field("/format")), FORMATS))
            div class="actions" {
                button class="button primary" disabled[!may] { (icon(Icon::Download)) "Start the export" }
                a class="button" href=(back) { "Cancel" }
            }
            p class="hint" { "It is made in the background. Its files are kept for seven days. That it was made is on record." }
        }
        (as_code(visit, &Call::new("POST", PATH, PERMISSION).body(Value::Object(filter.body(format)))))
    };
    Page::new(visit, me, At::Audit, "Export the audit log")
        .below("Audit log", "/console/audit")
        .below("Exports", HERE)
        .lead(html! { "Exactly the records that the search shows, as a file that can be verified offline." })
        .status(faults.status())
        .show(body)
}

pub(super) async fn start(visit: Visit, params: Params, fields: Fields) -> Answer {
    #[derive(Deserialize)]
    struct Started {
        id: String,
    }
    let filter = Filter::of(&params, visit.now());
    let format = fields.get("format");
    let request = Request::post(PATH).once(fields.once()).json(&filter.body(format));
    match visit.api.ask::<Started>(request).await {
        Ok(export) => Ok(done(&format!("{HERE}/{}", export.id), "export-started")),
        Err(failure) => {
            let faults = Faults::of(failure)?;
            let me = Me::of(&visit.api).await?;
            Ok(show_form(&visit, &me, &filter, format, &faults))
        }
    }
}

pub(super) async fn list(visit: Visit, params: Params) -> Answer {
    let asked = Request::get(PATH).query("cursor", params.get("cursor"));
    let (me, exports) = tokio::try_join!(Me::of(&visit.api), visit.api.ask::<List<Export>>(asked))?;
    let new = link_if(
        me.may(PERMISSION),
        PERMISSION,
        "/console/audit/exports/new",
        html! { (icon(Icon::Plus)) "New export" },
    );
    let body = html! {
        @if exports.data.is_empty() {
            (empty(Icon::Download, "No exports in the last 30 days", html! {
                p { "An export has the records that you searched for, and the proof that they are what was written then." }
                p { a href="/console/audit" { "Search the log" } ", then export what is shown." }
            }))
        } @else {
            (table("Exports", &["Started", "What", "Format", "Records", "State"], html! {
                @for export in &exports.data {
                    tr {
                        (cell("Started", html! { a class="main" href={ (HERE) "/" (export.id) } { (moment(visit.now(), export.created_at)) } }))
                        (cell("What", html! { @let phrases = export.phrases(&me); @if phrases.is_empty() { "The whole log" } @else { (phrases.join(", ")) } }))
                        (cell("Format", html! { (export.format.to_uppercase()) }))
                        (cell("Records", html! { (export.progress.records) }))
                        (cell("State", status(&export.status)))
                    }
                }
            }))
            (pager(HERE, &params, exports.next_cursor.as_deref()))
        }
        (as_code(&visit, &Call::new("GET", PATH, PERMISSION)))
    };
    Ok(Page::new(&visit, &me, At::Audit, "Exports of the audit log")
        .below("Audit log", "/console/audit")
        .lead(html! { "Files of records, to keep or to hand to an auditor. They are here for seven days." })
        .actions(new)
        .show(body))
}

pub(super) async fn one(visit: Visit, Segment(id): Segment, watch: Watch) -> Answer {
    let path = format!("{PATH}/{id}");
    if watch.is_fragment {
        let export = visit.api.get::<Export>(path).await?;
        return Ok(fragment(&watch, state(&visit, &export), export.is_over()));
    }
    let (me, export) = tokio::try_join!(Me::of(&visit.api), visit.api.get::<Export>(path.as_str()))?;
    let phrases = export.phrases(&me);
    let body = html! {
        @if export.is_over() { (state(&visit, &export)) } @else { (live(&format!("{HERE}/{}", export.id), 2, state(&visit, &export))) }
        (section("What is in it", html! {
            @if phrases.is_empty() { p { "The whole log, from its first record to the last that was sealed when it was made." } }
            @else { ul class="chips" { @for words in &phrases { li { span { (words) } } } } }
            (facts([
                ("Format", html! { (export.format.to_uppercase()) }),
                ("Asked for by", to_page("", &export.requested_by, None)),
                ("Started", html! { (exact(export.created_at)) }),
                ("Export", crate::view::id(&export.id)),
            ]))
        }))
        (as_code(&visit, &Call::new("GET", path, PERMISSION)))
    };
    Ok(Page::new(&visit, &me, At::Audit, "Export of the audit log")
        .below("Audit log", "/console/audit")
        .below("Exports", HERE)
        .lead(html! { "Started " (moment(visit.now(), export.created_at)) })
        .show(body))
}

/// How far it is, and what came of it.
fn state(visit: &Visit, export: &Export) -> Markup {
    section(
        "How far it is",
        html! {
            p { (status(&export.status)) }
            @match export.status.as_str() {
                "queued" => p { "It is going to begin in a moment." },
                "running" => (progress("Records", export.progress.records, export.progress.total)),
                "done" => (files(visit, export)),
                "expired" => p { "Its files are gone: they are kept for seven days, and less when a person was erased in the meantime." },
                _ => (banner(Tone::Bad, html! { p { strong { "It was given up." } @if let Some(reason) = &export.reason { " " (reason) } } })),
            }
            @if !export.is_over() { p class="live" { (icon(Icon::Live)) "Kept fresh while you look. Without a script: " a href={ (HERE) "/" (export.id) } { "look again" } } }
        },
    )
}

fn files(visit: &Visit, export: &Export) -> Markup {
    let is_table = export.format == "csv";
    let name = export.file_name(if is_table { "csv" } else { "ndjson" });
    let proofs = export.file_name("proofs.ndjson");
    let command = if is_table {
        format!("artisan-verify {name} \\\n  --proofs {proofs} \\\n  --key keys.txt")
    } else {
        format!("artisan-verify {name} --key keys.txt")
    };
    let file = |name: &str, link: Option<&str>, size: Option<u64>, sha256: Option<&str>| {
        html! {
            tr {
                (cell("File", html! { @match link { Some(link) => a class="main" href=(link) rel="noreferrer" { (icon(Icon::Download)) (name) }, None => (name) } }))
                (cell("Size", html! { @if let Some(size) = size { (bytes(size)) } }))
                (cell("SHA-256", html! { @if let Some(sha256) = sha256 { (id(sha256)) } }))
            }
        }
    };
    html! {
        p { (export.progress.records) " records"
            @if let Some(at) = export.finished_at { ", finished " (moment(visit.now(), at)) }
            @if let Some(at) = export.expires_at { ". The files are deleted " (moment(visit.now(), at)) } "." }
        (table("Files", &["File", "Size", "SHA-256"], html! {
            (file(&name, export.links.as_ref().map(|links| links.file.as_str()), export.size, export.sha256.as_deref()))
            @if let Some(second) = &export.proofs {
                (file(&proofs, export.links.as_ref().and_then(|links| links.proofs.as_deref()), Some(second.size), Some(&second.sha256)))
            }
        }))
        @if let Some(links) = &export.links {
            p class="hint" { "The links are good until " (exact(links.expires_at)) "; load the page anew for others. Whoever has one has the file. That they were given out is on record." }
        }
        h3 { "Verify it" }
        p { "With the " a href="/console/audit/keys" { "key of the log" } ", got once and kept apart. It needs no network and no account." }
        (copyable(&command))
    }
}

/// A size, as people read it.
fn bytes(size: u64) -> String {
    match size {
        0..1024 => format!("{size} bytes"),
        1024..1_048_576 => format!("{}.{} KiB", size / 1024, size % 1024 * 10 / 1024),
        _ => format!("{}.{} MiB", size / 1_048_576, size % 1_048_576 * 10 / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_told_in_its_unit() {
        for (size, said) in
            [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (10_485_760, "10.0 MiB")]
        {
            assert_eq!(bytes(size), said);
        }
    }
}
