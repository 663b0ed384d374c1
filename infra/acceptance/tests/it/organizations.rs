//! An organization: profile, plan, settings.

use serde_json::json;
use testkit::TestApp;

const PATH: &str = "/api/admin/organization";

#[tokio::test]
async fn an_organization_shows_what_is_in_use_beside_what_its_plan_allows() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let shown = admin.get(PATH).await.expect(200);
    assert_eq!(shown.text("/id"), admin.text("/organization/id"));
    assert_eq!((shown.text("/plan"), shown.text("/status")), ("starter".to_owned(), "active".to_owned()));
    assert_eq!(
        shown.json["usage"],
        json!({
            "seats": {"used": 1, "limit": 5}, "workspaces": {"used": 1, "limit": 3},
            "api_keys": {"used": 0, "limit": 20}, "endpoints": {"used": 0, "limit": 10},
            "retention_days": 90,
        })
    );
    let _ = app.key(&admin, json!({})).await;
    let after = admin.get(PATH).await.expect(200);
    assert_eq!(after.json["usage"]["api_keys"], json!({"used": 1, "limit": 20}));
    assert_eq!(after.header("etag"), shown.header("etag"), "counts are no change of the profile");
}

#[tokio::test]
async fn name_and_plan_are_changed_by_who_knows_the_present_version() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let first = admin.get(PATH).await.expect(200);
    let tag = first.header("etag").unwrap().to_owned();
    let renamed =
        admin.with("if-match", tag.clone()).patch(PATH, json!({"name": " Acme AG "})).await.expect(200);
    assert_eq!((renamed.text("/name"), renamed.text("/plan")), ("Acme AG".to_owned(), "starter".to_owned()));
    let stale = admin.with("if-match", tag.clone());
    let _ = stale.patch(PATH, json!({"name": "x"})).await.expect_problem(412, "precondition_failed");
    let unchanged = admin.patch(PATH, json!({})).await.expect(200);
    assert_eq!(unchanged.header("etag"), renamed.header("etag"));
    let grown = admin.patch(PATH, json!({"plan": "growth"})).await.expect(200);
    assert_eq!(grown.json["usage"]["seats"]["limit"], 25);
    for (body, pointer, code) in [
        (json!({"plan": "enterprise"}), "/plan", "value"),
        (json!({"plan": "gold"}), "/plan", "type"),
        (json!({"plan": null}), "/plan", "required"),
        (json!({"name": ""}), "/name", "length"),
        (json!({"name": null}), "/name", "required"),
        (json!({"status": "deleted"}), "/status", "unknown_field"),
        (json!({"settings": {"require_mfa": "yes"}}), "/settings/require_mfa", "type"),
        (json!({"settings": {"colour": "red"}}), "/settings/colour", "unknown_field"),
    ] {
        let refused = admin.patch(PATH, body).await.expect_problem(422, "invalid");
        assert_eq!(
            (refused.text("/errors/0/pointer"), refused.text("/errors/0/code")),
            (pointer.into(), code.into())
        );
    }
}
