//! The audit log edited in the database's file, past everything that would see it: the verifier names what was done.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what cannot go on fails the test"
)]

#[path = "support/killed.rs"]
mod killed;
mod support;

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use artisan_verify::{Problem, Report, Trust, verify_export};
use ids::AuditId;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use killed::{Api, Running};
use support::until;

const LOG: &str = "/api/admin/audit-logs";
const RECORDS: usize = 40;
const TABLE: &str = "artisan-local-AuditTable";

async fn get(api: &Api, path: &str, token: &str) -> Option<String> {
    let answer = api.http.get(format!("{}{path}", api.base)).bearer_auth(token).send().await.ok()?;
    answer.status().is_success().then_some(())?;
    answer.text().await.ok()
}

/// A platform on `data`, with the token of its administrator.
async fn platform(data: &Path) -> (Running, Api, String) {
    let running = Running::start(0, data).await;
    let api = Api::of(&running);
    let sign_in = json!({"email": "ada@example.com", "password": "a kettle of seven herrings"});
    let session = match api.post("/api/auth/login", "", sign_in).await.unwrap() {
        (200, session) => session,
        _ => {
            let sign_up = json!({
                "organization_name": "Acme", "name": "Ada",
                "email": "ada@example.com", "password": "a kettle of seven herrings",
            });
            api.post("/api/auth/signup", "", sign_up).await.unwrap().1
        }
    };
    let token = session["access_token"].as_str().unwrap().to_owned();
    (running, api, token)
}

/// The whole log, exported and read back.
async fn exported(api: &Api, token: &str) -> Vec<u8> {
    let (status, job) =
        api.post(&format!("{LOG}/exports"), token, json!({"format": "ndjson"})).await.unwrap();
    assert_eq!(status, 202, "{job}");
    let path = format!("{LOG}/exports/{}", job["id"].as_str().unwrap());
    let link = until("the export", async || {
        let job: Value = serde_json::from_str(&get(api, &path, token).await?).unwrap();
        job["links"]["file"].as_str().map(str::to_owned)
    })
    .await;
    api.http.get(link).send().await.unwrap().bytes().await.unwrap().to_vec()
}

/// A directory with all that is in it, what the database has not yet moved into its file included.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else if entry.file_name() != "lock" {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

struct Item {
    pk: String,
    sk: String,
    item: Value,
}

/// Whoever has the file.
struct Intruder(Connection);

impl Intruder {
    fn open(data: &Path) -> Self {
        Self(Connection::open(data.join("artisan.db")).unwrap())
    }

    /// The records of leads, oldest first.
    fn records(&self) -> Vec<Item> {
        let sql = format!(r#"SELECT pk, sk, item_json FROM "{TABLE}" WHERE sk LIKE 'S:AUD#%' ORDER BY sk"#);
        let mut statement = self.0.prepare(&sql).unwrap();
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))).unwrap();
        let items = rows.map(Result::unwrap).map(|(pk, sk, item)| Item {
            pk,
            sk,
            item: serde_json::from_str(&item).unwrap(),
        });
        items.filter(|it| entry(it).contains("lead.create")).collect()
    }

    fn put(&self, item: &Item) {
        let sql = format!(
            r#"INSERT OR REPLACE INTO "{TABLE}" (pk, sk, item_json, item_size) VALUES (?1, ?2, ?3, ?4)"#
        );
        let text = item.item.to_string();
        self.0.execute(&sql, params![item.pk, item.sk, text, text.len() as i64]).unwrap();
    }

    fn remove(&self, item: &Item) {
        let sql = format!(r#"DELETE FROM "{TABLE}" WHERE pk = ?1 AND sk = ?2"#);
        assert_eq!(self.0.execute(&sql, params![item.pk, item.sk]).unwrap(), 1);
    }
}

fn entry(item: &Item) -> &str {
    item.item["entry"]["S"].as_str().unwrap()
}

fn with_entry(item: &Item, entry: String) -> Item {
    let mut changed = Item { pk: item.pk.clone(), sk: item.sk.clone(), item: item.item.clone() };
    changed.item["entry"]["S"] = entry.into();
    changed
}

fn id(item: &Item) -> String {
    item.sk.trim_start_matches("S:AUD#").to_owned()
}

fn found(report: &Report) -> Vec<(Problem, Option<String>)> {
    report.findings.iter().map(|finding| (finding.problem, finding.id.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_to_the_database_s_file_the_verifier_names_it() {
    let data = tempfile::tempdir().unwrap();
    let (mut running, api, token) = platform(data.path()).await;
    let lead = async |number: usize| {
        let lead = json!({"email": format!("lead{number}@example.com")});
        assert_eq!(api.post("/v1/leads", &token, lead).await.unwrap().0, 201);
    };
    for number in 0..RECORDS {
        lead(number).await;
    }
    let sealed = async || {
        until("the sealing of every record", async || {
            let page = get(&api, &format!("{LOG}?limit=100"), &token).await?;
            let page: Value = serde_json::from_str(&page).unwrap();
            page["data"].as_array().unwrap().iter().all(|it| it["leaf_index"].is_u64()).then_some(())
        })
        .await;
    };
    sealed().await;
    let keys = get(&api, &format!("{LOG}/checkpoint/keys"), &token).await.unwrap();
    let keys = keys.lines().map(|key| key.parse().unwrap()).collect::<Vec<_>>();
    let trust = Trust { keys: keys.clone(), kept: None };
    let report = verify_export(Cursor::new(exported(&api, &token).await), &trust).unwrap();
    assert!(report.intact, "{report}");
    // As it is now, to be brought back later: the whole file is a day older, so to speak.
    running.kill();
    let older = tempfile::tempdir().unwrap();
    copy(data.path(), older.path());
    let (mut running, api, token) = platform(data.path()).await;
    for number in 0..5 {
        let lead = json!({"email": format!("later{number}@example.com")});
        assert_eq!(api.post("/v1/leads", &token, lead).await.unwrap().0, 201);
    }
    until("the sealing of what came later", async || {
        let note = get(&api, &format!("{LOG}/checkpoint"), &token).await?;
        let size: usize = note.lines().nth(1)?.parse().ok()?;
        (size >= RECORDS + 7).then_some(())
    })
    .await;
    let kept = get(&api, &format!("{LOG}/checkpoint"), &token).await.unwrap();
    running.kill();

    let tampered = async |how: &dyn Fn(&Intruder, &[Item])| {
        let copied = tempfile::tempdir().unwrap();
        copy(data.path(), copied.path());
        let intruder = Intruder::open(copied.path());
        how(&intruder, &intruder.records());
        drop(intruder);
        let (mut running, api, token) = platform(copied.path()).await;
        let export = exported(&api, &token).await;
        running.kill();
        verify_export(Cursor::new(export), &trust).unwrap()
    };
    let records = Intruder::open(data.path()).records();
    assert!(tampered(&|_, _| {}).await.intact);

    let edited = tampered(&|intruder, records| {
        let changed = entry(&records[7]).replace("lead.create", "lead.delete");
        intruder.put(&with_entry(&records[7], changed));
    })
    .await;
    assert_eq!(found(&edited), [(Problem::RecordChanged, Some(id(&records[7])))], "{edited}");

    let deleted = tampered(&|intruder, records| intruder.remove(&records[11])).await;
    assert!(
        deleted.findings.iter().all(|it| it.problem == Problem::RecordMissing) && deleted.found == 1,
        "{deleted}"
    );
    assert!(deleted.to_string().contains(&id(&records[11])), "{deleted}");

    let an_hour_ago = clock::Clock::system().now() - Duration::from_secs(3600);
    let invented = AuditId::derived(an_hour_ago, [7; 16]);
    let inserted = tampered(&|intruder, records| {
        let model = &records[3];
        let mut value: Value = serde_json::from_str(entry(model)).unwrap();
        value["id"] = invented.to_string().into();
        value["timestamp"] = an_hour_ago.to_string().into();
        let mut item = with_entry(model, value.to_string());
        let partition = model.pk.rsplit_once('#').unwrap().0.rsplit_once('#').unwrap().0.to_owned();
        item.pk = format!("{partition}#{}#{}", an_hour_ago.month(), invented.as_bytes()[15] % 4);
        item.sk = format!("S:AUD#{invented}");
        // The database writes the type of a key in front of it.
        item.item["pk"]["S"] = item.pk.trim_start_matches("S:").into();
        item.item["sk"]["S"] = item.sk.trim_start_matches("S:").into();
        intruder.put(&item);
    })
    .await;
    assert_eq!(found(&inserted), [(Problem::RecordInserted, Some(invented.to_string()))], "{inserted}");

    let reordered = tampered(&|intruder, records| {
        intruder.put(&with_entry(&records[20], entry(&records[21]).to_owned()));
        intruder.put(&with_entry(&records[21], entry(&records[20]).to_owned()));
    })
    .await;
    let swapped = [&records[21], &records[20]].map(|it| (Problem::RecordReordered, Some(id(it))));
    assert_eq!(found(&reordered), swapped, "{reordered}");

    let truncated = tampered(&|intruder, records| {
        for record in records.iter().rev().take(3) {
            intruder.remove(record);
        }
    })
    .await;
    let gone: Vec<_> =
        records[records.len() - 3..].iter().map(|it| (Problem::RecordMissing, Some(id(it)))).collect();
    assert_eq!(found(&truncated), gone, "{truncated}");

    // The whole database brought back as it was earlier: only who kept a checkpoint sees that.
    let (mut running, api, token) = platform(older.path()).await;
    let export = exported(&api, &token).await;
    running.kill();
    let kept = Trust { keys, kept: Some(kept) };
    let rolled_back = verify_export(Cursor::new(export), &kept).unwrap();
    assert!(!rolled_back.intact, "{rolled_back}");
    let problems: Vec<_> = rolled_back.findings.iter().map(|it| it.problem).collect();
    assert!(
        problems.contains(&Problem::CutOff) || problems.contains(&Problem::HistoryChanged),
        "{rolled_back}"
    );
}
