//! Mails across a restart: the queue and the mailbox are in memory, the outbox is not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what cannot go on fails the test")]

use std::path::Path;
use std::time::Duration;

use artisan_local::engines::Strike;
use artisan_local::{Data, Options, Platform};
use clock::{Clock, Timestamp, utc};
use mailing::{Letter, MailSeal};
use sealing::MasterSecret;
use store::{Actor, AuditRecord, Change, Store};

async fn start(directory: &Path, now: Timestamp) -> Platform {
    let (clock, _) = Clock::manual(now);
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    let data = Data::Directory(directory.to_owned());
    Platform::start(Options { data, clock, ..Options::new(template) }).await.unwrap()
}

/// Commits a change that mails `to`.
async fn mail(platform: &Platform, to: &str) {
    let services = platform.services_for("auth").unwrap();
    let store = Store::from_environment(&services.environment, services.aws.dynamodb.clone()).unwrap();
    let seal =
        MailSeal::new(&MasterSecret::new(services.secret("SESSION_SECRET_ID").await.unwrap())).unwrap();
    let (now, organization) = (services.clock.now(), services.ids.next());
    let letter = Letter::PasswordChanged { to: to.to_owned(), name: "Ada".to_owned(), at: now };
    let outgoing = seal.outgoing(services.ids.next(), organization, letter, now).unwrap();
    let record = AuditRecord {
        id: services.ids.next(),
        action: "password.change",
        actor: Actor { r#type: "system".to_owned(), id: "test".to_owned(), email: None },
        resource_type: "user".to_owned(),
        resource_id: None,
        organization_id: organization,
        workspace_id: None,
        ip_address: "192.0.2.1".to_owned(),
        user_agent: None,
        request_id: "req_1".to_owned(),
        timestamp: now,
        success: true,
        error_code: None,
        changes: Vec::new(),
        pii_accessed: false,
        sensitive: false,
        compliance_relevant: false,
    };
    let change = Change::audited(record).mailing(outgoing);
    store.tenant_of_job(organization).commit(change, None).await.unwrap();
}

fn recipients(platform: &Platform) -> Vec<String> {
    let mut recipients: Vec<String> = platform.mailbox().received().into_iter().map(|mail| mail.to).collect();
    recipients.sort();
    recipients.dedup();
    recipients
}

#[tokio::test]
async fn mails_of_the_last_day_are_there_again_after_a_restart() {
    let (directory, noon) = (tempfile::tempdir().unwrap(), utc(2026, 11, 22, 12, 0));
    let platform = start(directory.path(), noon).await;
    mail(&platform, "sent@example.com").await;
    platform.drain().await;
    platform.engines().faults().order("SendEmail", 0, 1, Strike::Before, 400, "{}");
    mail(&platform, "queued@example.com").await;
    platform.drain().await;
    mail(&platform, "written@example.com").await;
    assert_eq!(recipients(&platform), ["sent@example.com"]);
    drop(platform);

    let platform = start(directory.path(), noon + Duration::from_secs(60)).await;
    platform.drain().await;
    assert_eq!(recipients(&platform), ["queued@example.com", "sent@example.com", "written@example.com"]);
    drop(platform);

    let platform = start(directory.path(), noon + Duration::from_secs(25 * 3600)).await;
    platform.drain().await;
    assert!(recipients(&platform).is_empty());
}
