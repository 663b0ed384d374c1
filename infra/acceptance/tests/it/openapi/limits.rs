//! The limits that the document gives for what is sent are the ones that are enforced. They stand in two places, as the
//! attributes of a schema take numbers only: here they are held together.

use ids::{DeliveryId, LeadId};
use serde_json::{Value, json};
use testkit::{Actor, TestApp, noon};

use super::document::document;

/// Judged only after something else that a request here does not get right, or not told with a pointer.
const OUT_OF_REACH: [&str; 3] = ["accept_invitation", "reset_password", "change_password"];

/// Stand in the place of all other fields.
const ALONE: [&str; 2] = ["/delivery_ids", "/invitations"];

struct Limit {
    pointer: String,
    /// What is just within the limit, and what is just beyond it.
    within: Value,
    beyond: Value,
}

fn schema<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let target = match &schema["anyOf"] {
        Value::Array(alternatives) => alternatives.iter().find(|it| it["type"] != "null").unwrap(),
        _ => schema,
    };
    match target["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => target,
    }
}

/// So many different items of a list.
fn items(document: &Value, field: &str, described: &Value, count: usize) -> Value {
    if let Some(names) = schema(document, &described["items"])["enum"].as_array() {
        return names.iter().take(count).cloned().collect();
    }
    let seed = |number: usize| u128::try_from(number).unwrap().to_be_bytes();
    let item = |number: usize| match field {
        "delivery_ids" => json!(DeliveryId::derived(noon(), seed(number))),
        "events" => json!({"type": "sent", "lead_id": LeadId::derived(noon(), seed(number))}),
        "invitations" => json!({"email": format!("p{number}@example.com"), "role": "member"}),
        "allowed_domains" => json!(format!("d{number}.example.com")),
        "cors_origins" => json!(format!("https://d{number}.example.com")),
        "admin_allowed_cidrs" => json!(format!("10.0.{number}.0/24")),
        other => panic!("what are the items of {other}?"),
    };
    (0..count).map(item).collect()
}

/// The limits of an object's fields, and of those of the objects in it.
fn limits(document: &Value, object: &Value, at: &str, found: &mut Vec<Limit>) {
    let count = |limit: &Value| limit.as_u64().map(|it| usize::try_from(it).unwrap());
    for (field, described) in object["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{at}/{field}");
        let of = |count| items(document, field, described, count);
        let mut push = |within, beyond| found.push(Limit { pointer: pointer.clone(), within, beyond });
        if let Some(most) = count(&described["maxLength"]) {
            push("x".repeat(most).into(), "x".repeat(most + 1).into());
        }
        if let Some(least) = count(&described["minLength"]) {
            push("x".repeat(least).into(), "x".repeat(least - 1).into());
        }
        if let Some(most) = count(&described["maxItems"]) {
            push(of(most), of(most + 1));
        }
        if let Some(least) = count(&described["minItems"]) {
            push(of(least), of(least - 1));
        }
        if let Some(most) = described["maximum"].as_i64() {
            push(most.into(), (most + 1).into());
        }
        if let Some(least) = described["minimum"].as_i64().filter(|least| *least > 0) {
            push(least.into(), (least - 1).into());
        }
        limits(document, schema(document, described), &pointer, found);
    }
}

/// A body with what must be in one.
fn body(document: &Value, described: &Value) -> Value {
    if !described["example"].is_null() {
        return described["example"].clone();
    }
    let mut body = json!({});
    for field in described["required"].as_array().into_iter().flatten() {
        let field = field.as_str().unwrap();
        let property = schema(document, &described["properties"][field]);
        let example = Some(property["example"].clone()).filter(|it| !it.is_null());
        body[field] = example.unwrap_or_else(|| match property["type"].as_str() {
            Some("array") => json!([]),
            Some("object") => json!({}),
            _ => "x".into(),
        });
    }
    body
}

fn put(body: &mut Value, pointer: &str, value: Value) {
    let mut place = body;
    for name in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[name];
    }
    *place = value;
}

/// Whether an answer has something against the size of what stands at the pointer.
fn objects(answer: &testkit::Response, pointer: &str) -> bool {
    let errors = answer.json["errors"].as_array().into_iter().flatten();
    let mut of_it = errors.into_iter().filter(|it| it["pointer"] == pointer);
    of_it.any(|it| ["length", "range"].iter().any(|code| it["code"] == *code))
}

#[tokio::test]
async fn documented_limits_are_enforced() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    app.upgrade(&admin, "business").await;
    let id = async |path: &str, body: Value| admin.post(path, body).await.expect(201).text("/id");
    let campaign = id("/v1/campaigns", json!({"name": "x"})).await;
    let lead = id("/v1/leads", json!({"email": "grace@example.com"})).await;
    let key = id("/api/admin/api-keys", json!({"name": "x"})).await;
    let endpoint = id("/api/admin/webhooks", json!({"url": "https://example.com/", "events": ["*"]})).await;
    let spare = id("/api/admin/workspaces", json!({"name": "x"})).await;
    let (workspace, user) = (admin.text("/workspaces/0/id"), admin.text("/user/id"));
    let places = [
        ("/v1/campaigns/{id}", &campaign),
        ("/v1/leads/{id}", &lead),
        ("/api/admin/api-keys/{id}", &key),
        ("/api/admin/webhooks/{id}", &endpoint),
        ("/api/admin/workspaces/{id}", &spare),
        ("/api/admin/users/{id}", &user),
    ];
    let admin = admin.with("x-workspace-id", &workspace);
    let document = document();
    let mut judged = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let sent = &operation["requestBody"]["content"]["application/json"]["schema"];
            let name = operation["operationId"].as_str().unwrap();
            if sent.is_null() || OUT_OF_REACH.contains(&name) {
                continue;
            }
            let described = schema(&document, sent);
            let mut found = Vec::new();
            limits(&document, described, "", &mut found);
            let place = places.iter().find(|(template, _)| path.starts_with(template));
            let path = place.map_or(path.clone(), |(_, id)| path.replace("{id}", id));
            let caller: &Actor = if operation["security"] == json!([]) { &app.stranger() } else { &admin };
            for Limit { pointer, within, beyond } in found {
                for (value, is_beyond) in [(beyond, true), (within, false)] {
                    let is_alone = ALONE.contains(&pointer.as_str());
                    let mut body = if is_alone { json!({}) } else { body(&document, described) };
                    put(&mut body, &pointer, value);
                    // One that was rotated is not rotated again.
                    let path = match name {
                        "rotate_api_key" => {
                            let fresh = id("/api/admin/api-keys", json!({"name": "x"})).await;
                            format!("/api/admin/api-keys/{fresh}/rotate")
                        }
                        _ => path.clone(),
                    };
                    let answer =
                        caller.raw(method.to_uppercase().parse().unwrap(), &path, body.to_string()).await;
                    assert_eq!(
                        objects(&answer, &pointer),
                        is_beyond,
                        "{name} {pointer} {body}: {}",
                        answer.body
                    );
                    judged += 1;
                }
            }
        }
    }
    assert!(judged > 100, "{judged}");
    app.leaves_jobs();
}
