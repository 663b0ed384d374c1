//! The OpenAPI document: generated from the functions, kept in the repository, and the same as the template's routes.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use testkit::TestApp;

use document::document;

mod document;
mod limits;

fn committed() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json")
}

/// `UPDATE_OPENAPI=1 cargo test -p acceptance committed_document` writes it anew.
#[test]
fn the_committed_document_is_the_generated_one() {
    let generated = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(committed(), &generated).unwrap();
    }
    let committed = std::fs::read_to_string(committed()).unwrap();
    assert!(
        committed == generated,
        "docs/openapi.json is out of date: UPDATE_OPENAPI=1 cargo test -p acceptance committed_document"
    );
}

#[test]
fn whatever_the_document_refers_to_is_there() {
    fn look(at: &Value, within: &Value, missing: &mut Vec<String>) {
        match at {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').unwrap();
                    if within.pointer(pointer).is_none() {
                        missing.push(reference.to_owned());
                    }
                }
                members.values().for_each(|value| look(value, within, missing));
            }
            Value::Array(values) => values.iter().for_each(|value| look(value, within, missing)),
            _ => {}
        }
    }
    let (document, mut missing) = (document(), Vec::new());
    look(&document, &document, &mut missing);
    assert!(missing.is_empty(), "{missing:?}");
}

fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    operations.collect()
}

#[tokio::test]
async fn the_document_and_the_template_name_the_same_routes() {
    let app = TestApp::start().await;
    let aliased = |route: &&str| {
        ["campaigns", "leads", "meetings"].iter().any(|name| route.contains(&format!(" /api/{name}")))
    };
    // The console's pages are no operations.
    let is_page = |route: &&str| route.contains("$default") || route.contains(" /console");
    let routes: BTreeSet<&str> = app.platform().route_keys().filter(|route| !is_page(route)).collect();
    let documented = operations(&document());
    let own: BTreeSet<String> = routes.iter().filter(|r| !aliased(r)).map(|r| (*r).to_owned()).collect();
    assert_eq!(own, documented);
    for alias in routes.iter().filter(|r| aliased(r)) {
        assert!(documented.contains(&alias.replace(" /api/", " /v1/")), "{alias}");
        let (method, path) = alias.split_once(' ').unwrap();
        let answer = app.stranger().raw(method.parse().unwrap(), &filled(path), "{}").await;
        let _ = answer.expect_problem(401, "unauthenticated");
    }
}

/// Every schema below `schema` that has an example, by its pointer.
fn with_examples(schema: &Value, at: &str, found: &mut Vec<(String, Value)>) {
    let examples = schema["examples"].as_array().into_iter().flatten().chain(schema.get("example"));
    found.extend(examples.map(|example| (at.to_owned(), example.clone())));
    for keyword in ["properties", "allOf", "anyOf"] {
        let inner = match &schema[keyword] {
            Value::Object(named) => named.iter().map(|(name, it)| (name.clone(), it)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(at, it)| (at.to_string(), it)).collect(),
            _ => Vec::new(),
        };
        for (name, inner) in inner {
            with_examples(inner, &format!("{at}/{keyword}/{}", name.replace('/', "~1")), found);
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if schema[keyword].is_object() {
            with_examples(&schema[keyword], &format!("{at}/{keyword}"), found);
        }
    }
}

#[test]
fn every_example_fits_its_schema() {
    let document = document();
    let mut found = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        with_examples(schema, &format!("/components/schemas/{name}"), &mut found);
    }
    for (name, example) in document["components"]["examples"].as_object().unwrap() {
        assert!(example["value"]["code"] == name.as_str());
        found.push(("/components/schemas/Problem".to_owned(), example["value"].clone()));
    }
    for (name, webhook) in document["webhooks"].as_object().unwrap() {
        let content = &webhook["post"]["requestBody"]["content"]["application/json"];
        let at = format!("/webhooks/{name}/post/requestBody/content/application~1json/schema");
        found.push((at, content["example"].clone()));
    }
    assert!(found.len() > 120, "{}", found.len());
    let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
    let location = "http://localhost/openapi.json";
    compiler.add_resource(location, document.clone()).unwrap();
    for (at, example) in found {
        let schema = compiler.compile(&format!("{location}#{at}"), &mut schemas).unwrap();
        schemas.validate(&example, schema).unwrap_or_else(|error| panic!("{example}\n{error:#}"));
    }
    // Ids in them are such as the API takes.
    let text = document["components"].to_string();
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    for body in
        words.filter_map(|word| word.split_once('_')).map(|(_, body)| body).filter(|it| it.len() == 26)
    {
        if body.starts_with("01") {
            assert!(format!("lead_{body}").parse::<ids::LeadId>().is_ok(), "{body} is no id");
        }
    }
    // Nowhere else is one.
    let text = serde_json::to_string(&document["paths"]).unwrap();
    assert!(!text.contains("\"example\":") && !text.contains("\"examples\":"));
}

/// A path with a name that nothing has in the place of each parameter.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Every operation that is not open refuses the unknown, without a look at any table.
#[tokio::test]
async fn every_operation_but_the_open_ones_refuses_a_stranger() {
    let app = TestApp::start().await;
    let document = document();
    let open: BTreeSet<&str> = BTreeSet::from([
        "POST /api/auth/signup",
        "POST /api/auth/login",
        "POST /api/auth/refresh",
        "POST /api/auth/invitations/accept",
        "POST /api/auth/password/forgot",
        "POST /api/auth/password/reset",
        "POST /api/auth/mfa/verify",
        "GET /api/auth/sso/{organization}/start",
        "GET /api/auth/sso/callback",
        "POST /api/secret-scanning/github",
        "GET /health",
        "GET /openapi.json",
        "GET /docs/errors",
        "GET /docs",
        "GET /docs/{file}",
    ]);
    for operation in operations(&document) {
        let (method, path) = operation.split_once(' ').unwrap();
        let described = &document["paths"][path][method.to_lowercase()];
        let is_open = described["security"].as_array().unwrap().iter().all(|it| it["bearer"].is_null());
        let may_be_signed_in = described["security"] == json!([{}, {"bearer": []}]);
        assert_eq!(is_open || may_be_signed_in, open.contains(operation.as_str()), "{operation}");
        if open.contains(operation.as_str()) {
            continue;
        }
        let path = filled(path);
        let answer = app.stranger().raw(method.parse().unwrap(), &path, "{}").await;
        let answer = answer.expect_problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{operation}");
    }
}

/// The under-privileged get 403 that names the permission, the one that the document names; nothing else about the request
/// matters yet.
#[tokio::test]
async fn every_operation_refuses_a_key_without_the_permission_it_documents() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let weak = app.key(&admin, json!({"scopes": ["analytics:read"]})).await;
    let document = document();
    // These ask for no permission: a caller may always know who it is, and what it could be permitted.
    let any_caller = BTreeSet::from(["GET /v1/whoami", "GET /api/admin/roles"]);
    for operation in operations(&document) {
        let (method, path) = operation.split_once(' ').unwrap();
        let described = &document["paths"][path][method.to_lowercase()];
        let documented = described["x-permission"].as_str();
        assert_eq!(documented.is_some(), described["security"] == json!([{"bearer": []}]), "{operation}");
        let Some(documented) = documented else { continue };
        assert_eq!(documented == "authenticated", any_caller.contains(operation.as_str()), "{operation}");
        if documented == "authenticated" {
            continue;
        }
        let path = filled(path);
        let answer = weak.raw(method.parse().unwrap(), &path, "{}").await.expect_problem(403, "forbidden");
        assert_eq!(answer.text("/permission"), documented, "{operation}");
    }
}

#[tokio::test]
async fn health_and_the_documents_are_open() {
    let app = TestApp::start().await;
    let health = app.stranger().get("/health").await.expect(200);
    assert_eq!(health.text("/status"), "ok");
    assert_eq!(health.text("/version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(health.json["dependencies"].as_array().unwrap().len(), 2);
    let served = app.stranger().get("/openapi.json").await.expect(200);
    assert_eq!(served.json["info"]["title"], "Artisan");
    let webhooks = served.json["webhooks"].as_object().unwrap();
    assert_eq!(webhooks.len(), events::EventType::ALL.len());
    for event in events::EventType::ALL {
        let content = &webhooks[event.as_str()]["post"]["requestBody"]["content"]["application/json"];
        assert_eq!(content["schema"]["properties"]["data"], event.schema(), "{event}");
        assert_eq!(content["example"], event.example(), "{event}");
    }
    let errors = app.stranger().get("/docs/errors").await.expect(200);
    assert!(errors.body.contains("id=\"rate_limited\""));
}

#[tokio::test]
async fn the_interactive_reference_is_served_with_all_it_loads() {
    let app = TestApp::start().await;
    let stranger = app.stranger();
    let page = stranger.get("/docs").await.expect(308);
    assert_eq!(page.header("location"), Some("/docs/index.html"));
    let page = stranger.get("/docs/index.html").await.expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'self';"));
    // Its files are compressed as they were built.
    assert_eq!(page.header("content-encoding"), Some("gzip"));
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js"] {
        assert!(!stranger.get(&format!("/docs/{file}")).await.expect(200).body.is_empty(), "{file}");
    }
    let script = stranger.get("/docs/swagger-initializer.js").await.expect(200).body;
    assert!(script.contains("/openapi.json") && script.contains("validatorUrl: null"), "{script}");
    for nothing in ["/docs/nothing.js", "/docs/..%2f..%2fCargo.toml"] {
        let _ = stranger.get(nothing).await.expect_problem(404, "route_not_found");
    }
}
