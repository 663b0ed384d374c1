//! Holds every answer to `docs/openapi.json`: its status, its problem code, its headers and its body must be what the
//! document says of the operation.
//!
//! `CONTRACT_SEEN=<file>` has each status and code of each operation appended to a file when it is seen first.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::{LazyLock, Mutex, PoisonError};

use boon::{Compiler, SchemaIndex, Schemas};
use http::{HeaderMap, Method, header};
use serde_json::Value;

use crate::Response;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
/// What the schemas are known as; nothing is fetched.
const LOCATION: &str = "http://localhost/openapi.json";

/// Headers that are documented wherever they are answered.
const HEADERS: [&str; 10] = [
    "etag",
    "idempotency-replayed",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "set-cookie",
    "www-authenticate",
    "x-ratelimit-remaining",
    "x-request-id",
];

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::read);
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

struct Contract {
    operations: Vec<Operation>,
    schemas: Schemas,
}

struct Operation {
    method: String,
    path: String,
    responses: BTreeMap<String, Documented>,
}

/// What is documented of an answer.
struct Documented {
    /// The problems it may be.
    codes: BTreeSet<String>,
    headers: BTreeSet<String>,
    /// The types of its body, and their schemas.
    content: BTreeMap<String, Option<SchemaIndex>>,
}

impl Contract {
    fn read() -> Self {
        let document: Value = serde_json::from_str(&std::fs::read_to_string(DOCUMENT).unwrap()).unwrap();
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        compiler.add_resource(LOCATION, document.clone()).unwrap();
        let mut compile = |pointer: &str| {
            let pointer = pointer.replace('{', "%7B").replace('}', "%7D");
            let compiled = compiler.compile(&format!("{LOCATION}#{pointer}"), &mut schemas);
            compiled.unwrap_or_else(|error| panic!("{error:#}"))
        };
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let mut responses = BTreeMap::new();
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let at = match response["$ref"].as_str() {
                        Some(reference) => reference.trim_start_matches('#').to_owned(),
                        None => format!("/paths/{}/{method}/responses/{status}", escaped(path)),
                    };
                    let response = document.pointer(&at).unwrap();
                    let mut content = BTreeMap::new();
                    for (r#type, body) in response["content"].as_object().into_iter().flatten() {
                        let pointer = format!("{at}/content/{}/schema", escaped(r#type));
                        let schema = body.get("schema").map(|_| compile(&pointer));
                        content.insert(r#type.clone(), schema);
                    }
                    let codes = response["x-problem-codes"].as_array().into_iter().flatten();
                    let headers = response["headers"].as_object().into_iter().flatten();
                    let documented = Documented {
                        codes: codes.map(|code| code.as_str().unwrap().to_owned()).collect(),
                        headers: headers.map(|(name, _)| name.to_lowercase()).collect(),
                        content,
                    };
                    responses.insert(status.clone(), documented);
                }
                operations.push(Operation { method: method.to_uppercase(), path: path.clone(), responses });
            }
        }
        // Where a path could be another one's id, it is not.
        operations.sort_by_key(|operation| operation.path.matches('{').count());
        Self { operations, schemas }
    }

    fn operation(&self, method: &Method, path: &str) -> Option<&Operation> {
        self.operations.iter().find(|it| it.method == method.as_str() && fits(&it.path, path))
    }
}

/// A key as it stands in a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn fits(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(expected), Some(given)) if expected == given => {}
            (Some(expected), Some(given)) if expected.starts_with('{') && !given.is_empty() => {}
            _ => return false,
        }
    }
}

/// The path without its query, under the name that the document has for it.
fn documented_path(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let aliased = ["/api/campaigns", "/api/leads", "/api/meetings"]
        .iter()
        .any(|alias| path.strip_prefix(alias).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    if aliased { path.replacen("/api/", "/v1/", 1) } else { path.to_owned() }
}

fn essence(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim)
}

/// Fails the test if the answer is not what the document says of the operation.
#[track_caller]
pub(crate) fn check(method: &Method, path: &str, answer: &Response) {
    let path = documented_path(path);
    // The platform's own pages, the console's, and browsers' preflights, are no operations.
    if path.starts_with("/_local/") || path.starts_with("/console") || method == Method::OPTIONS {
        return;
    }
    let (status, code) = (answer.status.as_str(), answer.json["code"].as_str());
    let what = format!("{}: {status} {}", answer.request, answer.body);
    let Some(operation) = CONTRACT.operation(method, &path) else {
        let code = code.filter(|_| !answer.status.is_success());
        assert!(
            matches!(code, Some("route_not_found" | "method_not_allowed" | "payload_too_large")),
            "no such operation: {what}"
        );
        return;
    };
    let documented = operation.responses.get(status);
    let documented = documented.unwrap_or_else(|| panic!("the status is not documented: {what}"));
    let essence = essence(&answer.headers);
    if essence == Some("application/problem+json") {
        let code = code.unwrap_or_else(|| panic!("a problem without a code: {what}"));
        assert!(documented.codes.contains(code), "the problem is not documented: {what}");
    }
    match essence {
        None => assert!(documented.content.is_empty() && answer.body.is_empty(), "no body: {what}"),
        Some(essence) => {
            let schema = documented.content.get(essence);
            let schema = schema.unwrap_or_else(|| panic!("{essence} is not documented: {what}"));
            if let (Some(schema), true) = (schema, essence.ends_with("json")) {
                let valid = CONTRACT.schemas.validate(&answer.json, *schema);
                valid.unwrap_or_else(|error| panic!("not as its schema has it: {what}\n{error:#}"));
            }
        }
    }
    for name in HEADERS.iter().filter(|name| answer.headers.contains_key(**name)) {
        assert!(documented.headers.contains(*name), "{name} is not documented: {what}");
    }
    if let Some(file) = std::env::var_os("CONTRACT_SEEN") {
        let line = format!("{method} {} {status} {}", operation.path, code.unwrap_or_default());
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.insert(line.clone()) {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(file);
            writeln!(file.unwrap(), "{line}").unwrap();
        }
    }
}
