//! A bucket over the local platform's object store, in this process.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::time::Duration;

use artisan_local::engines::{ADDRESS, Engines, Place, Strike};
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use clock::{Clock, ManualClock, utc};
use http_body_util::BodyExt as _;
use objects::{Bucket, Client, SMALLEST_PART, Upload};
use runtime::{AwsClients, Environment, Services, StartError};
use tower::ServiceExt as _;

struct Store {
    engines: Engines,
    hand: ManualClock,
    exports: Bucket,
    archive: Bucket,
}

async fn store() -> Store {
    let (clock, hand) = Clock::manual(utc(2026, 11, 22, 12, 0));
    let engines = Engines::open(&Place::Memory, &clock, false, ADDRESS).unwrap();
    engines.objects().create("exports", false);
    engines.objects().create("archive", true);
    let aws = AwsClients::from_config(&engines.sdk_config().await);
    let names = [("EXPORTS_BUCKET", "exports"), ("ARCHIVE_BUCKET", "archive")];
    let environment: Environment =
        names.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    let services = Services::new(environment, aws, clock);
    let client = Client::from_services(&services);
    let bucket = |variable| Bucket::from_environment(&services.environment, variable, &client).unwrap();
    let missing = Bucket::from_environment(&services.environment, "OTHER_BUCKET", &client).unwrap_err();
    assert!(matches!(missing, StartError::Missing { name: "OTHER_BUCKET" }));
    Store { engines, hand, exports: bucket("EXPORTS_BUCKET"), archive: bucket("ARCHIVE_BUCKET") }
}

const CSV: &str = "text/csv";
const SLOW_DOWN: &str =
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";

#[tokio::test]
async fn objects_come_back_as_they_were_put() {
    let Store { exports, engines, .. } = store().await;
    assert_eq!(exports.get("org_1/a.csv").await.unwrap(), None);
    exports.put("org_1/a.csv", "a,b\n", CSV).await.unwrap();
    assert_eq!(exports.get("org_1/a.csv").await.unwrap().unwrap(), "a,b\n");
    exports.put("org_1/a.csv", vec![0; 700_000], CSV).await.unwrap();
    assert_eq!(exports.get("org_1/a.csv").await.unwrap().unwrap().len(), 700_000);
    exports.put("empty", "", CSV).await.unwrap();
    assert_eq!(exports.get("empty").await.unwrap().unwrap(), "");
    assert_eq!(engines.meter().snapshot().calls_on("exports"), 7);
}

#[tokio::test]
async fn lists_go_on_after_a_key() {
    let Store { exports, .. } = store().await;
    for number in 0..1005 {
        exports.put(&format!("org_1/{number:04}"), "x", CSV).await.unwrap();
    }
    exports.put("org_2/a", "four", CSV).await.unwrap();
    let first = exports.list("org_1/", None).await.unwrap();
    assert_eq!((first.objects.len(), first.next_after.as_deref()), (1000, Some("org_1/0999")));
    let rest = exports.list("org_1/", first.next_after.as_deref()).await.unwrap();
    assert_eq!((rest.objects.len(), rest.next_after), (5, None));
    let other = exports.list("org_2/", None).await.unwrap().objects.remove(0);
    assert_eq!((other.key.as_str(), other.size), ("org_2/a", 4));
    assert_eq!(other.modified_at, Some(utc(2026, 11, 22, 12, 0)));
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_nothing_else() {
    let Store { exports, engines, .. } = store().await;
    for key in ["a", "b"] {
        exports.put(key, "x", CSV).await.unwrap();
    }
    engines.faults().order("DeleteObject", 0, 1, Strike::Before, 403, DENIED);
    assert!(!exports.delete("a").await.unwrap_err().is_unavailable());
    exports.delete("a").await.unwrap();
    exports.delete("a").await.expect("once more is no harm");
    assert_eq!(exports.get("a").await.unwrap(), None);
    assert_eq!(exports.get("b").await.unwrap().unwrap(), "x");
}

#[tokio::test]
async fn what_is_archived_stays() {
    let Store { archive, .. } = store().await;
    archive.put("org_1/checkpoint", "one", CSV).await.unwrap();
    archive.put("org_1/checkpoint", "one", CSV).await.expect("once more is no harm");
    for refused in [
        archive.put("org_1/checkpoint", "two", CSV).await.unwrap_err(),
        archive.delete("org_1/checkpoint").await.unwrap_err(),
    ] {
        assert!(!refused.is_unavailable(), "{refused:?}");
    }
    assert_eq!(archive.get("org_1/checkpoint").await.unwrap().unwrap(), "one");
}

#[tokio::test]
async fn errors_say_whether_time_may_heal_them() {
    let Store { exports, engines, .. } = store().await;
    // As often as the client tries.
    engines.faults().order("PutObject", 0, 3, Strike::Before, 503, SLOW_DOWN);
    let slow = exports.put("a", "1", CSV).await.unwrap_err();
    assert!(slow.is_unavailable(), "{slow:?}");
    assert_eq!(slow.to_string(), "the object store was not able to put an object");
    engines.faults().order("GetObject", 0, 1, Strike::Before, 403, DENIED);
    let denied = exports.get("a").await.unwrap_err();
    assert!(!denied.is_unavailable(), "{denied:?}");
}

#[tokio::test]
async fn an_answer_that_is_lost_is_no_loss() {
    let Store { archive, engines, .. } = store().await;
    engines.faults().order("PutObject", 0, 1, Strike::After, 500, "");
    archive.put("a", "1", CSV).await.unwrap();

    let mut upload = Upload::begin(&archive, "b", CSV).await.unwrap();
    engines.faults().order("UploadPart", 0, 1, Strike::After, 500, "");
    upload.part(&archive, 1, "x").await.unwrap();
    engines.faults().order("CompleteMultipartUpload", 0, 1, Strike::After, 500, "");
    upload.complete(&archive).await.unwrap();
    upload.complete(&archive).await.unwrap();
    assert_eq!(archive.get("b").await.unwrap().unwrap(), "x");

    let given_up = Upload::begin(&archive, "c", CSV).await.unwrap();
    engines.faults().order("AbortMultipartUpload", 0, 1, Strike::After, 500, "");
    given_up.abort(&archive).await.unwrap();
    let refused = given_up.complete(&archive).await.unwrap_err();
    assert!(!refused.is_unavailable(), "{refused:?}");
    assert_eq!(archive.get("c").await.unwrap(), None);
}

#[tokio::test]
async fn an_upload_is_taken_up_again_by_who_reads_its_state() {
    let Store { exports, .. } = store().await;
    let mut upload = Upload::begin(&exports, "org_1/big.csv", CSV).await.unwrap();
    assert_eq!((upload.key(), upload.next_part(), upload.size()), ("org_1/big.csv", 1, 0));
    upload.part(&exports, 1, vec![b'a'; SMALLEST_PART]).await.unwrap();
    let state = serde_json::to_string(&upload).unwrap();

    let mut upload: Upload = serde_json::from_str(&state).unwrap();
    upload.part(&exports, upload.next_part(), "first try").await.unwrap();
    upload.part(&exports, 2, "end").await.unwrap();
    assert_eq!((upload.next_part(), upload.size()), (3, SMALLEST_PART as u64 + 3));
    assert_eq!(exports.get("org_1/big.csv").await.unwrap(), None);
    upload.complete(&exports).await.unwrap();
    let whole = exports.get("org_1/big.csv").await.unwrap().unwrap();
    assert_eq!((whole.len(), &whole[SMALLEST_PART..]), (SMALLEST_PART + 3, &b"end"[..]));

    let mut small = Upload::begin(&exports, "small", CSV).await.unwrap();
    small.part(&exports, 1, "too").await.unwrap();
    small.part(&exports, 2, "small").await.unwrap();
    assert!(!small.complete(&exports).await.unwrap_err().is_unavailable());
    small.abort(&exports).await.unwrap();
    assert!(!small.part(&exports, 1, "x").await.unwrap_err().is_unavailable());

    let mut empty = Upload::begin(&exports, "empty", CSV).await.unwrap();
    empty.part(&exports, 1, "").await.unwrap();
    empty.complete(&exports).await.unwrap();
    assert_eq!(exports.get("empty").await.unwrap().unwrap(), "");
}

async fn follow(engines: &Engines, link: &str) -> (StatusCode, HeaderMap, String) {
    let target = link.strip_prefix(ADDRESS).unwrap();
    let request = Request::get(target).header("host", "127.0.0.1:8001").body(Body::empty()).unwrap();
    let (parts, body) = engines.endpoint().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn links_lead_to_a_download_for_a_while() {
    let Store { exports, engines, hand, .. } = store().await;
    exports.put("org_1/ä b.csv", "a,b\n", "application/octet-stream").await.unwrap();
    let hour = Duration::from_secs(3600);
    let link =
        exports.link("org_1/ä b.csv", hour, "Prüfung; \"1\".csv", "text/csv; charset=utf-8").await.unwrap();
    let (status, headers, body) = follow(&engines, link.as_str()).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, "a,b\n"), "{}", link.as_str());
    assert_eq!(headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(
        headers["content-disposition"],
        "attachment; filename=\"Pr_fung_ _1_.csv\"; filename*=UTF-8''Pr%C3%BCfung%3B%20%221%22.csv"
    );
    hand.advance(hour);
    assert_eq!(follow(&engines, link.as_str()).await.0, StatusCode::OK);
    hand.advance(Duration::from_secs(1));
    let (status, _, body) = follow(&engines, link.as_str()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("Request has expired"), "{body}");
    assert!(exports.link("a", 169 * hour, "a", CSV).await.is_err_and(|error| !error.is_unavailable()));
    let absent = exports.link("absent", hour, "a", CSV).await.unwrap();
    assert_eq!(follow(&engines, absent.as_str()).await.0, StatusCode::NOT_FOUND);
}
