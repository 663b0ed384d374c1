//! The OpenAPI document of all functions together: what they say of their operations, and what operations have in common,
//! said once.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use edge::{LAYERS, LONGEST_REQUEST_ID, PERMISSION, PROBLEM_CODES};
use problem::Code;
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema as _};

/// Headers of answers: name, type, what it says.
const HEADERS: [(&str, &str, &str); 10] = [
    ("X-Request-Id", "string", "The request's id: the one that was sent, if that is usable."),
    (
        "RateLimit-Policy",
        "string",
        "The caller's budget, `\"hourly\";q=<requests>;w=<seconds>` (draft-ietf-httpapi-ratelimit-headers). This and the \
         four below are there when the caller is known.",
    ),
    (
        "RateLimit",
        "string",
        "What is left of the budget, `\"hourly\";r=<requests>;t=<seconds until more return>`.",
    ),
    ("X-RateLimit-Limit", "integer", "Requests in any 60 minutes."),
    ("X-RateLimit-Remaining", "integer", "How many of them are left."),
    ("X-RateLimit-Reset", "integer", "When more return, in Unix seconds."),
    ("Retry-After", "integer", "Seconds to wait before trying again."),
    (
        "Idempotency-Replayed",
        "string",
        "`true` on an answer that was given before. What is shown once is not in it.",
    ),
    ("ETag", "string", "The version of the resource, for `If-Match`."),
    ("WWW-Authenticate", "string", "`Bearer`."),
];
const RATE_LIMITS: [&str; 5] =
    ["RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];

/// What operations are about.
const TAGS: [(&str, &str); 14] = [
    ("auth", "Signing up and in, second factors, passwords, sessions."),
    ("campaigns", "Campaigns of a workspace."),
    ("leads", "Leads, their replies, and what happened to mails."),
    ("meetings", "Meetings with leads."),
    ("api keys", "Keys of programs: scopes, limits, rotation, usage."),
    ("webhooks", "Endpoints, events, deliveries, dead letters, replays."),
    ("users", "Members, invitations and roles."),
    ("workspaces", "Workspaces of the organization."),
    ("organization", "The organization and its settings."),
    ("domains", "Domains that the organization has proved to be its own."),
    ("single sign-on", "The organization's own identity provider."),
    ("audit", "The audit log: search, exports, proofs."),
    ("privacy", "What is held about a person, and its erasure."),
    ("meta", "Health and documentation."),
];

pub(crate) fn document() -> Value {
    let mut document = merged();
    document["info"] = json!({
        "title": "Artisan",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Organizations, API keys, campaigns, leads and signed webhooks.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document["webhooks"] = webhooks();
    document["tags"] =
        TAGS.map(|(name, description)| json!({"name": name, "description": description})).into();
    let mut refusals = Refusals::default();
    let versioned = versioned(&document);
    for (path, operation) in operations(&mut document) {
        let codes = codes(operation);
        complete(operation, versioned.contains(&path));
        refusals.add(operation, &codes);
    }
    share_parameters(&mut document);
    open_alternatives(&mut document["components"]["schemas"]);
    let components = &mut document["components"];
    for (name, schema) in problem_schemas() {
        components["schemas"][name] = schema;
    }
    components["responses"] = refusals.0.into();
    components["headers"] = named(HEADERS.map(|(name, r#type, description)| {
        (name.to_owned(), json!({"description": description, "schema": {"type": r#type}}))
    }));
    let answered = components["responses"].to_string();
    let codes = Code::ALL.iter().filter(|code| answered.contains(&format!("/examples/{}\"", code.as_str())));
    components["examples"] = named(codes.map(|code| (code.as_str().to_owned(), example(*code))));
    let bearer = "An API key, `sk_live_…` or `sk_test_…`, or the access token of a session.";
    components["securitySchemes"] =
        json!({"bearer": {"type": "http", "scheme": "bearer", "description": bearer}});
    document
}

/// What the functions say.
fn merged() -> Value {
    let parts = [
        fn_auth::openapi(),
        fn_api_keys::openapi(),
        fn_audit_logs::openapi(),
        fn_campaigns::openapi(),
        fn_leads::openapi(),
        fn_meetings::openapi(),
        fn_organizations::openapi(),
        fn_users::openapi(),
        fn_webhooks::openapi(),
        fn_workspaces::openapi(),
        fn_docs::openapi(),
    ];
    let mut document = utoipa::openapi::OpenApiBuilder::new().build();
    for part in parts {
        document.merge(part);
    }
    serde_json::to_value(document).unwrap()
}

fn named(values: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Object(values.into_iter().collect())
}

fn operations(document: &mut Value) -> impl Iterator<Item = (String, &mut Value)> {
    let paths = document["paths"].as_object_mut().unwrap();
    paths.iter_mut().flat_map(|(path, item)| {
        item.as_object_mut().unwrap().values_mut().map(|operation| (path.clone(), operation))
    })
}

fn reference(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

fn takes(operation: &Value, parameter: &str) -> bool {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.into_iter().any(|it| it["name"] == parameter)
}

/// The paths whose resource has versions: where one of them can be asked for by `If-Match`.
fn versioned(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .filter(|(_, item)| item.as_object().unwrap().values().any(|operation| takes(operation, "If-Match")))
        .map(|(path, _)| path.clone())
        .collect()
}

/// The problems of an operation, in the order of the error reference. They are told with its answers.
fn codes(operation: &mut Value) -> Vec<Code> {
    let named = operation.as_object_mut().unwrap().remove(PROBLEM_CODES).unwrap();
    let named: BTreeSet<&str> = named.as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    let codes: Vec<Code> = Code::ALL.iter().copied().filter(|code| named.contains(code.as_str())).collect();
    assert_eq!(codes.len(), named.len(), "{named:?}");
    codes
}

/// What operations have in common: who may call them, request ids, headers of answers.
fn complete(operation: &mut Value, is_versioned: bool) {
    let fields = operation.as_object_mut().unwrap();
    // What is open says so.
    fields.entry("security").or_insert(json!([]));
    fields.entry(PERMISSION).or_insert(Value::Null);
    let knows_caller = fields["security"] != json!([]);
    let repeats = takes(operation, "Idempotency-Key");
    for (status, response) in operation["responses"].as_object_mut().unwrap() {
        let mut headers = vec!["X-Request-Id"];
        if knows_caller {
            headers.extend(RATE_LIMITS);
        }
        if repeats {
            headers.push("Idempotency-Replayed");
        }
        if is_versioned && status == "200" {
            headers.push("ETag");
        }
        let own = response["headers"].as_object().cloned().unwrap_or_default();
        headers.extend(HEADERS.iter().map(|(name, ..)| *name).filter(|name| own.contains_key(*name)));
        let common = headers.into_iter().map(|name| (name.to_owned(), reference("headers", name)));
        response["headers"] = named(own.into_iter().chain(common));
    }
    let request_id = json!({
        "name": "X-Request-Id", "in": "header", "required": false, "schema": {"type": "string"},
        "description": format!("An id of your own for the request: 1 to {LONGEST_REQUEST_ID} letters, digits, `_`, `.`, `:` and `-`; what is \
                                something else is passed over. It is in the answer, in logs and in the audit log."),
    });
    let fields = operation.as_object_mut().unwrap();
    fields.entry("parameters").or_insert(json!([])).as_array_mut().unwrap().push(request_id);
}

/// Answers that are problems. Each set of codes that operations share is one, named for what the codes come of.
#[derive(Default)]
struct Refusals(Map<String, Value>);

impl Refusals {
    fn add(&mut self, operation: &mut Value, codes: &[Code]) {
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in codes {
            by_status.entry(code.status()).or_default().push(*code);
        }
        for (status, codes) in by_status {
            let name = name(status, &codes);
            let taken = &operation["responses"][status.to_string()];
            assert!(taken.is_null(), "{status} is an answer and a problem: {operation}");
            operation["responses"][status.to_string()] = reference("responses", &name);
            self.0.entry(name).or_insert_with(|| response(status, &codes));
        }
    }
}

/// A name for a set of codes of one status: the layers that make it up, and what is left over by its own name.
fn name(status: u16, codes: &[Code]) -> String {
    let mut parts = Vec::new();
    let mut left: Vec<Code> = codes.to_vec();
    for (layer, of) in LAYERS {
        let of: Vec<Code> = of.iter().copied().filter(|code| code.status() == status).collect();
        let is_in = !of.is_empty() && of.iter().all(|code| codes.contains(code));
        if is_in && of.iter().any(|code| left.contains(code)) {
            parts.push(*layer);
            left.retain(|code| !of.contains(code));
        }
    }
    parts.extend(left.iter().map(|code| code.as_str()));
    format!("{status}.{}", parts.join("."))
}

fn response(status: u16, codes: &[Code]) -> Value {
    let mut headers = vec!["X-Request-Id"];
    headers.extend(RATE_LIMITS);
    if status == 401 {
        headers.push("WWW-Authenticate");
    }
    if codes.iter().any(|code| code.example().retry_after().is_some()) {
        headers.push("Retry-After");
    }
    let examples = codes.iter().map(|code| code.as_str());
    let reason = StatusCode::from_u16(status).unwrap().canonical_reason().unwrap();
    json!({
        "description": format!("{reason}. {}.", codes.iter().map(|code| code.title()).collect::<Vec<_>>().join(". ")),
        PROBLEM_CODES: codes,
        "headers": named(headers.into_iter().map(|name| (name.to_owned(), reference("headers", name)))),
        "content": {"application/problem+json": {
            "schema": reference("schemas", "Problem"),
            "examples": named(examples.map(|code| (code.to_owned(), reference("examples", code)))),
        }},
    })
}

fn example(code: Code) -> Value {
    let body = code.example().body("/v1/leads", "req_01kaq8zr3yfe2r4m8n5p6q7s8t");
    json!({"summary": code.title(), "description": code.help(), "value": body})
}

fn problem_schemas() -> Vec<(String, Value)> {
    let mut schemas = vec![(edge::ProblemBody::name().into_owned(), edge::ProblemBody::schema())];
    edge::ProblemBody::schemas(&mut schemas);
    schemas.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap())).collect()
}

/// Moves what several operations take alike among the components.
fn share_parameters(document: &mut Value) {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (_, operation) in operations(document) {
        for parameter in operation["parameters"].as_array_mut().unwrap() {
            never_null(&mut parameter["schema"]);
            let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            if place != "path" {
                found.entry(name.to_owned()).or_default().push(parameter.clone());
            }
        }
    }
    let shared: Map<String, Value> = found
        .into_iter()
        .filter(|(_, all)| all.len() > 1 && all.iter().all(|it| *it == all[0]))
        .map(|(name, mut all)| (name, all.remove(0)))
        .collect();
    for (_, operation) in operations(document) {
        for parameter in operation["parameters"].as_array_mut().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            if shared.get(name) == Some(parameter) {
                *parameter = reference("parameters", name);
            }
        }
    }
    let webhook = WEBHOOK_HEADERS.map(|(name, description)| {
        let schema = json!({"type": "string"});
        (name.to_owned(), json!({"name": name, "in": "header", "required": true, "description": description, "schema": schema}))
    });
    document["components"]["parameters"] = named(shared.into_iter().chain(webhook));
}

/// A parameter that is not needed is left out, never null.
fn never_null(schema: &mut Value) {
    if let Some(types) = schema["type"].as_array() {
        schema["type"] = types.iter().find(|it| **it != "null").cloned().unwrap();
    }
    if let Some(alternatives) = schema["oneOf"].as_array() {
        *schema = alternatives.iter().find(|it| it["type"] != "null").cloned().unwrap();
    }
}

/// Untagged alternatives may have more in common than their schemas tell apart.
fn open_alternatives(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(open_alternatives),
        Value::Object(members) => {
            if let Some(alternatives) = members.remove("oneOf") {
                members.insert("anyOf".to_owned(), alternatives);
            }
            members.values_mut().for_each(open_alternatives);
        }
        _ => {}
    }
}

/// Headers of webhooks.
const WEBHOOK_HEADERS: [(&str, &str); 5] = [
    ("webhook-id", "The event's id, the same on every attempt."),
    ("webhook-timestamp", "When this attempt was made, in Unix seconds."),
    (
        "webhook-signature",
        "Signatures as Standard Webhooks has them, one or more, with a space between them, of \
         `<webhook-id>.<webhook-timestamp>.<body>`: `v1,<base64>`, the HMAC-SHA256 by the endpoint's secret, and, where the \
         endpoint asks for them, `v1a,<base64>`, Ed25519 by the key whose `public_key` it shows. While a secret is being \
         replaced there is one by each.",
    ),
    ("X-Artisan-Signature", "`sha256=` and the HMAC-SHA256 of the body in hexadecimal."),
    ("X-Artisan-Event", "The event type."),
];

/// What endpoints are sent: one webhook for each event type, from the schemas that events are held to.
fn webhooks() -> Value {
    let parameters: Vec<_> = WEBHOOK_HEADERS.iter().map(|(name, _)| reference("parameters", name)).collect();
    let text = |format: Option<&str>, description: &str| match format {
        Some(format) => json!({"type": "string", "format": format, "description": description}),
        None => json!({"type": "string", "description": description}),
    };
    let webhook = |event: events::EventType| {
        let schema = json!({
            "type": "object",
            "required": ["id", "event", "timestamp", "organization_id", "workspace_id", "data"],
            "properties": {
                "id": text(None, "The event's id."),
                "event": {"type": "string", "const": event.as_str()},
                "timestamp": text(Some("date-time"), "When it happened."),
                "organization_id": text(None, "The organization."),
                "workspace_id": text(None, "The workspace it happened in."),
                "data": event.schema(),
            },
        });
        json!({"post": {
            "tags": ["webhooks"],
            "operationId": event.as_str().replace('.', "_"),
            "summary": event.description(),
            "security": [],
            "parameters": parameters,
            "requestBody": {
                "required": true,
                "content": {"application/json": {"schema": schema, "example": event.example()}},
            },
            "responses": {
                "2XX": {"description": "Taken. Whatever else is answered is a failure, and tried again."},
                "default": {"description": "A failure: tried again. 410 disables the endpoint."},
            },
        }})
    };
    named(events::EventType::ALL.iter().map(|event| (event.as_str().to_owned(), webhook(*event))))
}
