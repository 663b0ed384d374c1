//! Admission by the store alone: several functions, whose clocks differ and whose calls interleave, on one key.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use access::api_key::{Peppers, PlainKey};
use aws_sdk_dynamodb::types::AttributeValue;
use clock::Timestamp;
use futures::future::join_all;
use proptest::prelude::*;
use serde_json::json;
use store::{Admission, Counted, KeyCredential, Mode, Proof, RouteGroup, Store, Visit};
use testkit::{Actor, TestApp};

use crate::people::store;

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)";

async fn peppers(app: &TestApp) -> Peppers {
    let services = app.platform().services_for("api-keys").unwrap();
    Peppers::parse(&services.secret("API_KEY_PEPPER_ID").await.unwrap()).unwrap()
}

async fn proof(app: &TestApp, key: &Actor) -> Proof {
    PlainKey::parse(key.token()).unwrap().proof(&peppers(app).await)
}

fn visit(now: Timestamp) -> Visit<'static> {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Visit { now, address, user_agent: Some(AGENT), group: RouteGroup::Other }
}

async fn admitted(function: &Store, proof: &Proof, now: Timestamp) -> bool {
    match function.admit_key(proof, &visit(now)).await.unwrap() {
        Admission::Admitted { .. } => true,
        Admission::Limited { .. } => false,
        other => panic!("{other:?}"),
    }
}

/// The item of a key's credential, as it is stored.
async fn stored(app: &TestApp, proof: &Proof) -> HashMap<String, AttributeValue> {
    let services = app.platform().services_for("auth").unwrap();
    let key = HashMap::from([
        ("pk".to_owned(), AttributeValue::S(format!("KEY#{}", proof.locator))),
        ("sk".to_owned(), AttributeValue::S("KEY".to_owned())),
    ]);
    let table = services.environment.required("DIRECTORY_TABLE").unwrap();
    let read = services.aws.dynamodb.get_item().table_name(table).set_key(Some(key)).consistent_read(true);
    read.send().await.unwrap().item.unwrap()
}

/// The size of an item by DynamoDB's rules.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
fn size(item: &HashMap<String, AttributeValue>) -> usize {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        // Two digits a byte and one more, and another one for a sign.
        AttributeValue::N(number) => {
            let digits = number.trim_start_matches('-').len();
            digits.div_ceil(2) + 1 + usize::from(number.starts_with('-'))
        }
        AttributeValue::B(blob) => blob.as_ref().len(),
        other => panic!("{other:?}"),
    };
    item.iter().map(|(name, it)| name.len() + value(it)).sum()
}

/// One write unit is 1 KiB. The largest key there is: for a workspace, with an expiry, all permissions and as many networks
/// as it may have, used from a long address by a long agent, for everything, at the largest limit there is, in each of the
/// last sixty minutes.
#[tokio::test]
async fn the_largest_key_in_the_hardest_use_takes_one_write_unit() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let networks: Vec<_> =
        (0..9).map(|at| format!("2001:db8:{at}::/48")).chain(["::/0".to_owned()]).collect();
    let key = app
        .key(
            &admin,
            json!({
                "workspace_id": admin.text("/workspaces/0/id"), "allowed_cidrs": networks,
                "expires_at": (app.now() + Duration::from_secs(86_400 * 365)).to_string(),
                "rate_limit_per_hour": 1_000_000,
            }),
        )
        .await;
    let (proof, function) = (proof(&app, &key).await, store(&app));
    let address = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff".parse().unwrap();
    let (mut now, mut largest) = (app.now(), 0);
    for _ in 0..130 {
        for group in RouteGroup::ALL {
            let visit = Visit { now, address, user_agent: Some(AGENT), group };
            let admission = function.admit_key(&proof, &visit).await.unwrap();
            let Admission::Admitted { counted_at, .. } = admission else { panic!("{admission:?}") };
            for outcome in [Counted::ClientError, Counted::ServerError, Counted::RateLimited] {
                function.count_outcome(&counted_at, now, outcome).await;
            }
        }
        let mut item = stored(&app, &proof).await;
        // As if the minutes had seen as many requests as the limit allows.
        for (name, value) in &mut item {
            if name == "w" {
                let AttributeValue::B(blob) = value else { panic!() };
                let (base, counts) = blob.as_ref().split_at(4);
                let wide: Vec<u8> =
                    base.iter().copied().chain(counts.iter().flat_map(|_| [0xff, 0xff, 0x00])).collect();
                *value = AttributeValue::B(wide.into());
            } else if name.starts_with('M') || name.starts_with('U') {
                *value = AttributeValue::N("1000000".to_owned());
            } else if ["n", "u", "f"].contains(&name.as_str()) {
                *value = AttributeValue::N("-1000000000".to_owned());
            }
        }
        largest = largest.max(size(&item));
        now = now + Duration::from_secs(60);
    }
    assert!((700..=1024).contains(&largest), "{largest} bytes");
}

#[tokio::test]
async fn a_pepper_is_rotated_under_keys_in_use() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let plain = PlainKey::parse(key.token()).unwrap();
    let services = app.platform().services_for("api-keys").unwrap();
    let old = services.secret("API_KEY_PEPPER_ID").await.unwrap();
    let new = "n".repeat(40);
    let peppers = |current: &str, honoured: &[&str]| {
        Peppers::parse(&json!({"current": current, "honoured": honoured}).to_string()).unwrap()
    };
    let function = store(&app);
    let knows = async |peppers: &Peppers| match function
        .admit_key(&plain.proof(peppers), &visit(app.now()))
        .await
        .unwrap()
    {
        Admission::Admitted { .. } => true,
        Admission::Unknown => false,
        other => panic!("{other:?}"),
    };
    // Before the new one is in force, whoever knows it alone knows nobody.
    assert!(knows(&peppers(&old, &[])).await);
    assert!(!knows(&peppers(&new, &[])).await);
    assert!(knows(&peppers(&old, &[&new])).await);
    // The first use under the new one moves the key to it.
    app.engines().meter().reset();
    assert!(knows(&peppers(&new, &[&old])).await);
    assert_eq!(app.engines().meter().snapshot().calls(), 1);
    assert!(knows(&peppers(&new, &[])).await);
    assert!(!knows(&peppers(&old, &[])).await);
    // Functions that have not heard that it is in force yet, but honour it, go on.
    assert!(knows(&peppers(&old, &[&new])).await);
}

/// Who may write to the table, but has not the pepper, can't make a key: the hash of what they show is not what must stand
/// there. And where two keys had one locator, neither would open what is the other's.
#[tokio::test]
async fn a_credential_opens_to_its_own_key_only() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({})).await;
    let (own, other) = (proof(&app, &key).await, PlainKey::generate(Mode::Live).unwrap());
    let stolen = Proof { locator: own.locator.clone(), ..other.proof(&peppers(&app).await) };
    let function = store(&app);
    for status in ["active", "revoked"] {
        let found = function.admit_key(&stolen, &visit(app.now())).await.unwrap();
        assert_eq!(found, Admission::<KeyCredential>::Unknown, "{status}");
        let unpeppered = Proof { locator: own.locator.clone(), ..other.proof(&Peppers::none()) };
        let found = function.admit_key(&unpeppered, &visit(app.now())).await.unwrap();
        assert_eq!(found, Admission::<KeyCredential>::Unknown, "{status}");
        let _ = admin.delete(&format!("/api/admin/api-keys/{}", key.text("/id"))).await;
    }
}

/// A network outside the list costs one call, nothing of the budget, and leaves no trace on the key; one inside costs a
/// second call once.
#[tokio::test]
async fn a_list_of_networks_is_judged_by_the_same_write() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"allowed_cidrs": ["10.0.0.0/8"], "rate_limit_per_hour": 5})).await;
    let (inside, outside) = (key.at("10.1.2.3"), key.at("192.0.2.1"));
    let calls = async |caller: &Actor, status: u16| {
        app.engines().meter().reset();
        let answer = caller.get("/v1/whoami").await;
        assert_eq!(answer.status, status, "{}", answer.body);
        app.engines().meter().snapshot().calls_of("UpdateItem")
    };
    for _ in 0..20 {
        assert_eq!(calls(&outside, 403).await, 1);
    }
    let path = format!("/api/admin/api-keys/{}", key.text("/id"));
    assert_eq!(admin.get(&path).await.expect(200).json["last_used_at"], serde_json::Value::Null);
    assert_eq!(calls(&inside, 200).await, 2);
    assert_eq!(calls(&inside, 200).await, 1);
    // Another list is another one from the next request on.
    let _ = admin.patch(&path, json!({"allowed_cidrs": ["192.0.2.0/24"]})).await.expect(200);
    assert_eq!(calls(&inside, 403).await, 1);
    assert_eq!(calls(&outside, 200).await, 2);
    let _ = admin.patch(&path, json!({"allowed_cidrs": null})).await.expect(200);
    assert_eq!(calls(&inside, 200).await, 1);
    let shown = admin.get(&path).await.expect(200);
    assert_eq!(shown.text("/last_used_ip"), "10.1.2.3");
    assert_eq!(outside.get("/v1/whoami").await.expect(200).header("x-ratelimit-remaining"), Some("0"));
}

/// Requests of some functions at about the same moment: how long after the ones before, and by which functions in which
/// order.
#[derive(Debug, Clone)]
struct Burst {
    after: u64,
    functions: Vec<usize>,
}

fn bursts() -> impl Strategy<Value = Vec<Burst>> {
    let after = prop_oneof![
        4 => 0_u64..20, 3 => 20_u64..200, 3 => 200_u64..1_500, 2 => 3_400_u64..3_800, 1 => 4_000_u64..100_000
    ];
    let burst = (after, prop::collection::vec(0_usize..3, 1..8));
    prop::collection::vec(burst.prop_map(|(after, functions)| Burst { after, functions }), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: testkit::cases(48), ..ProptestConfig::default() })]

    /// Never more than the limit in any 60 minutes of the true time, whichever functions admit in whatever order, with clocks
    /// up to a minute apart; and who was idle has everything.
    #[test]
    fn no_window_sees_more_than_the_limit_whatever_the_clocks_say(
        limit in 1_usize..14, skews in prop::array::uniform3(-30_i64..=30), bursts in bursts(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let app = TestApp::start().await;
            let admin = app.sign_up("Acme").await;
            let key = app.key(&admin, json!({"rate_limit_per_hour": limit})).await;
            let proof = proof(&app, &key).await;
            let functions = [store(&app), store(&app), store(&app)];
            let read = |function: usize, seconds: i64| Timestamp::from_seconds(seconds + skews[function]);
            let (mut seconds, mut let_in) = (app.now().seconds() + 100, Vec::<i64>::new());
            for burst in bursts {
                seconds += i64::try_from(burst.after).unwrap();
                let requests = burst
                    .functions
                    .iter()
                    .map(|function| admitted(&functions[*function], &proof, read(*function, seconds)));
                let answers = join_all(requests).await;
                let_in.extend(answers.iter().filter(|admitted| **admitted).map(|_| seconds));
                let within = let_in.iter().filter(|at| **at > seconds - 3_600).count();
                prop_assert!(within <= limit, "{within} of {limit} at {seconds}");
            }
            // An hour and the two minutes of the granularity and of the clocks later, and a minute for the skew itself.
            seconds += 63 * 60;
            for (which, function) in functions.iter().enumerate() {
                let answers = (0..limit + 2).map(|_| admitted(function, &proof, read(which, seconds)));
                let admitted = join_all(answers).await.into_iter().filter(|admitted| *admitted).count();
                prop_assert_eq!(admitted, limit);
                seconds += 64 * 60;
            }
            Ok(())
        })?;
    }
}

/// Sixty-four callers at once, over several functions.
#[tokio::test]
async fn sixty_four_callers_get_exactly_the_budget_at_one_call_a_request() {
    const BUDGET: usize = 3_000;
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let key = app.key(&admin, json!({"rate_limit_per_hour": BUDGET})).await;
    // Of four functions; what isn't there is admitted, too, and read from nowhere.
    let routes = ["/v1/whoami", "/v1/leads/none", "/v1/campaigns/none", "/api/admin/webhooks/none"];
    app.engines().meter().reset();
    let callers = (0..64).map(async |caller: usize| {
        let mut admitted = 0;
        for request in 0..100 {
            let answer = key.get(routes[(caller + request) % routes.len()]).await;
            assert!(matches!(answer.status.as_u16(), 200 | 404 | 429), "{}", answer.body);
            admitted += usize::from(answer.status != 429);
            // What answers at once would else answer one caller to the end before the next one.
            tokio::task::yield_now().await;
        }
        admitted
    });
    let admitted: usize = join_all(callers).await.into_iter().sum();
    assert_eq!(admitted, BUDGET);
    let calls = app.engines().meter().snapshot();
    let (requests, writes) = (6_400, calls.calls_of("UpdateItem"));
    assert!((requests..=requests + requests / 50).contains(&writes), "{writes}");
    app.drain().await;
}

/// Ten thousand keys that are none: changed by a character, with the wrong prefix, with the wrong checksum, and of the right
/// form but unknown. What has no right checksum costs no call, and what has costs one, like any other.
#[tokio::test]
async fn ten_thousand_keys_that_are_none_are_refused() {
    if testkit::embedded_only(testkit::THOUSANDS) {
        return;
    }
    let app = TestApp::start().await;
    let admin = app.sign_up("Acme").await;
    let good = app.key(&admin, json!({})).await;
    let stranger = app.stranger();
    let text = good.token();
    let digits: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let mut malformed: Vec<String> = (8..40)
        .flat_map(|at| {
            let digits = digits.iter().filter(move |digit| !text[at..].starts_with(**digit));
            digits.map(move |digit| format!("{}{digit}{}", &text[..at], &text[at + 1..]))
        })
        .collect();
    assert!(malformed.len() > 1_900);
    malformed.push(text.replace("sk_live_", "sk_test_"));
    malformed.push(text.to_uppercase());
    malformed.extend((1..40).map(|length| text[..length].to_owned()));
    for _ in 0..4_100 {
        let mut random = PlainKey::generate(Mode::Live).unwrap().reveal().to_owned();
        let last = random.pop().unwrap();
        random.push(if last == '0' { '1' } else { '0' });
        malformed.push(random);
    }
    app.engines().meter().reset();
    for key in &malformed {
        let answer = stranger.with_token(key).get("/v1/whoami").await.expect(401);
        let expected = if key.starts_with("sk_") { "key_unknown" } else { "unauthenticated" };
        assert_eq!(answer.text("/code"), expected, "{key}");
    }
    assert_eq!(app.engines().meter().snapshot().calls(), 0);
    let mut bodies = std::collections::BTreeSet::new();
    for _ in 0..4_100 {
        let unknown = PlainKey::generate(Mode::Test).unwrap();
        let answer =
            stranger.with_token(unknown.reveal()).with("x-request-id", "same").get("/v1/whoami").await;
        bodies.insert(answer.expect_problem(401, "key_unknown").body);
    }
    assert_eq!(bodies.len(), 1, "all are told the same");
    let calls = app.engines().meter().snapshot();
    assert_eq!((calls.calls(), calls.calls_of("UpdateItem")), (4_100, 4_100));
    assert!(malformed.len() + 4_100 >= 10_000);
    let _ = good.get("/v1/whoami").await.expect(200);
}
