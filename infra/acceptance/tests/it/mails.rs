//! Mails: with their change or not at all, at least once, readable by nobody before they are sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use artisan_local::engines::Strike;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use fn_mail::{Forgotten, ResetIssuer};
use futures::future::BoxFuture;
use ids::OrganizationId;
use mailing::{Letter, MailJob, MailQueue, MailSeal, Token};
use runtime::Services;
use sealing::MasterSecret;
use store::{Actor, AuditRecord, BoxError, Change, CommitError, OutgoingMail, Store};
use testkit::TestApp;

const THROTTLED: &str = r#"{"__type":"TooManyRequestsException","message":"Maximum sending rate exceeded."}"#;
const REJECTED: &str =
    r#"{"__type":"MessageRejected","message":"Email address is not verified: ada@example.com"}"#;
const SUSPENDED: &str = r#"{"__type":"AccountSuspendedException","message":"Sending is suspended."}"#;
const BROKEN: &str = r#"{"__type":"InternalFailure","message":"Internal"}"#;
const SQS_BROKEN: &str =
    r#"{"__type":"com.amazonaws.sqs#InvalidAddress","message":"The queue is not to be reached"}"#;
const NOT_ALL_SENT: &str =
    r#"{"Successful":[],"Failed":[{"Id":"0","SenderFault":false,"Code":"InternalError"}]}"#;

const TO: &str = "ada@example.com";

/// What a function has that mails: here, those of `auth`.
struct Sender {
    services: Services,
    store: Store,
    seal: MailSeal,
    organization: OrganizationId,
}

impl Sender {
    async fn of(app: &TestApp) -> Self {
        let services = app.platform().services_for("auth").unwrap();
        let store = Store::from_environment(&services.environment, services.aws.dynamodb.clone()).unwrap();
        let secret = services.secret("SESSION_SECRET_ID").await.unwrap();
        let seal = MailSeal::new(&MasterSecret::new(secret)).unwrap();
        let organization = services.ids.next();
        Self { services, store, seal, organization }
    }

    fn record(&self) -> AuditRecord {
        AuditRecord {
            id: self.services.ids.next(),
            action: "invitation.create",
            actor: Actor { r#type: "system".to_owned(), id: "test".to_owned(), email: None },
            resource_type: "invitation".to_owned(),
            resource_id: None,
            organization_id: self.organization,
            workspace_id: None,
            ip_address: "192.0.2.1".to_owned(),
            user_agent: None,
            request_id: "req_1".to_owned(),
            timestamp: self.services.clock.now(),
            success: true,
            error_code: None,
            changes: Vec::new(),
            pii_accessed: false,
            sensitive: false,
            compliance_relevant: false,
        }
    }

    fn mail(&self, token: &str) -> OutgoingMail {
        let now = self.services.clock.now();
        self.seal.outgoing(self.services.ids.next(), self.organization, invitation(token), now).unwrap()
    }

    async fn commit(&self, change: Change) -> Result<(), CommitError> {
        self.store.tenant_of_job(self.organization).commit(change, None).await
    }

    /// Commits a change that mails an invitation.
    async fn invite(&self, token: &str) {
        self.commit(Change::audited(self.record()).mailing(self.mail(token))).await.unwrap();
    }
}

fn invitation(token: &str) -> Letter {
    Letter::Invitation {
        to: TO.to_owned(),
        organization_name: "Harbor & Pine".to_owned(),
        inviter_name: "Grace".to_owned(),
        token: Token::new(token),
        expires_at: testkit::noon() + Duration::from_secs(7 * 24 * 3600),
    }
}

fn left_in(app: &TestApp, queue: &str) -> usize {
    app.platform().messages(queue).len()
}

#[tokio::test]
async fn a_mail_goes_out_with_its_change() {
    let app = TestApp::start().await;
    let sender = Sender::of(&app).await;
    sender.invite("t0ken").await;
    assert!(app.mails().is_empty(), "not before the stream has brought it");
    assert_eq!(app.token_mailed_to(TO).await, "t0ken");
    let mails = app.mails_to(TO);
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].subject, "Grace invites you to Harbor & Pine");
    assert!(mails[0].text.contains("\nhttp://localhost:8000/console/invitations/accept?token=t0ken\n"));
    sender.invite("newer").await;
    assert_eq!(app.token_mailed_to(TO).await, "newer");
}

#[tokio::test]
async fn a_change_that_is_refused_mails_nobody() {
    let app = TestApp::start().await;
    let sender = Sender::of(&app).await;
    let (record, mail) = (sender.record(), sender.mail("t0ken"));
    sender.commit(Change::audited(record.clone())).await.unwrap();
    let twice = sender.commit(Change::audited(record).mailing(mail)).await;
    assert!(matches!(twice, Err(CommitError::Refused(_))), "{twice:?}");
    app.drain().await;
    assert!(app.mails().is_empty());
}

#[tokio::test]
async fn neither_the_table_nor_the_queue_can_be_read() {
    let app = TestApp::start().await;
    let sender = Sender::of(&app).await;
    sender.invite("t0ken").await;
    app.engines().faults().order("SendEmail", 0, 1, Strike::Before, 400, REJECTED);
    app.drain().await;
    let waiting = app.platform().messages("MailQueue");
    assert_eq!(waiting.len(), 1);
    let table = app.platform().table_name("ActivityTable").unwrap().to_owned();
    let items = sender.services.aws.dynamodb.scan().table_name(table).send().await.unwrap().items.unwrap();
    let at_rest = format!("{} {items:?}", waiting[0].body);
    assert!(at_rest.contains("MAIL#"));
    for secret in ["t0ken", TO, "Harbor", "Grace"] {
        assert!(!at_rest.contains(secret), "{secret}");
    }
    app.advance(Duration::from_secs(90));
    assert_eq!(app.token_mailed_to(TO).await, "t0ken");
}

#[tokio::test]
async fn what_ses_throttles_or_does_not_answer_is_sent_later() {
    let app = TestApp::start().await;
    let sender = Sender::of(&app).await;
    // The SDK itself tries a throttled call three times, a 501 once.
    for (times, status, body) in [(3, 429, THROTTLED), (1, 501, BROKEN)] {
        let before = app.mails().len();
        app.engines().faults().order("SendEmail", 0, times, Strike::Before, status, body);
        sender.invite("t0ken").await;
        app.drain().await;
        app.advance(Duration::from_secs(14));
        app.drain().await;
        assert_eq!((app.mails().len(), left_in(&app, "MailQueue")), (before, 1), "{status}: it waits");
        app.advance(Duration::from_secs(1));
        app.drain().await;
        assert_eq!(app.mails().len(), before + 1, "{status}");
    }
}

#[tokio::test]
async fn what_ses_refuses_ends_in_the_faults_queue_and_holds_up_nobody() {
    for refusal in [REJECTED, SUSPENDED] {
        let app = TestApp::start().await;
        app.leaves_jobs();
        let sender = Sender::of(&app).await;
        sender.invite("refused").await;
        app.engines().faults().order("SendEmail", 0, 15, Strike::Before, 400, refusal);
        app.drain().await;
        for _ in 0..15 {
            assert_eq!(left_in(&app, "MailFaultsQueue"), 0);
            app.advance(Duration::from_secs(90));
            app.drain().await;
        }
        assert_eq!((left_in(&app, "MailQueue"), left_in(&app, "MailFaultsQueue")), (0, 1));
        assert!(app.mails().is_empty());
        sender.invite("t0ken").await;
        assert_eq!(app.token_mailed_to(TO).await, "t0ken");
    }
}

#[tokio::test]
async fn an_outage_of_ses_of_two_hours_loses_nothing() {
    let app = TestApp::start().await;
    let sender = Sender::of(&app).await;
    // The SDK does not repeat a 501 by itself, so the test does not wait for it.
    app.engines().faults().order("SendEmail", 0, usize::MAX, Strike::Before, 501, BROKEN);
    sender.invite("t0ken").await;
    for _ in 0..120 {
        app.drain().await;
        app.advance(Duration::from_secs(60));
    }
    assert_eq!((left_in(&app, "MailQueue"), left_in(&app, "MailFaultsQueue")), (1, 0));
    app.engines().faults().clear();
    app.advance(Duration::from_secs(15 * 60));
    assert_eq!(app.token_mailed_to(TO).await, "t0ken");
}

/// SES has it, but could not say so: the SDK asks again. Nothing makes the two one.
#[tokio::test]
async fn a_mail_whose_acceptance_is_lost_on_the_way_is_sent_twice() {
    let app = TestApp::start().await;
    let sender = Sender::of(&app).await;
    app.engines().faults().order("SendEmail", 0, 1, Strike::After, 500, BROKEN);
    sender.invite("t0ken").await;
    app.drain().await;
    assert_eq!(app.mails_to(TO).len(), 2);
}

#[tokio::test]
async fn a_queue_of_mails_that_is_down_holds_the_stream_and_loses_nothing() {
    for (status, body) in [(400, SQS_BROKEN), (200, NOT_ALL_SENT)] {
        let app = TestApp::start().await;
        let sender = Sender::of(&app).await;
        app.engines().faults().order("SendMessageBatch", 0, 2, Strike::Before, status, body);
        sender.invite("t0ken").await;
        app.drain().await;
        assert_eq!((left_in(&app, "MailQueue"), left_in(&app, "FanoutFaultsQueue")), (0, 0));
        for _ in 0..3 {
            app.advance(Duration::from_secs(60));
            app.drain().await;
        }
        assert_eq!(app.mails_to(TO).len(), 1);
    }
}

#[tokio::test]
async fn a_job_that_comes_again_is_sent_again_and_a_poisonous_one_holds_up_nobody() {
    let app = TestApp::start().await;
    let sender = Sender::of(&app).await;
    let courier = fn_mail::handler(&app.platform().services_for("mail").unwrap()).await.unwrap();
    let letter = sender.seal.seal(&MailJob::Letter(invitation("t0ken"))).unwrap();
    let batch = || batch(&[&letter, "not sealed by us", &letter]);
    for round in 1..=2 {
        let failures = courier.handle(batch()).await.batch_item_failures;
        let failed: Vec<_> = failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
        assert_eq!(failed, ["1"]);
        assert_eq!(app.mails_to(TO).len(), 2 * round);
    }
}

fn batch(bodies: &[&str]) -> SqsEvent {
    let mut event = SqsEvent::default();
    for (number, body) in bodies.iter().enumerate() {
        let mut message = SqsMessage::default();
        message.message_id = Some(number.to_string());
        message.body = Some((*body).to_owned());
        event.records.push(message);
    }
    event
}

/// Gives what it is told to give, and remembers what it was asked.
#[derive(Clone, Default)]
struct Script {
    asked: Arc<Mutex<Vec<Forgotten>>>,
}

impl ResetIssuer for Script {
    fn issue(&self, asked: Forgotten) -> BoxFuture<'_, Result<Option<Letter>, BoxError>> {
        let email = asked.email.clone();
        self.asked.lock().unwrap().push(asked);
        Box::pin(async move {
            match email.as_str() {
                TO => Ok(Some(invitation("reset"))),
                "nobody@example.com" => Ok(None),
                "outage@example.com" => Err("the store did not answer".into()),
                _ => panic!("a bug"),
            }
        })
    }
}

#[tokio::test]
async fn a_forgotten_password_is_looked_into_where_the_mail_is_sent() {
    let app = TestApp::start().await;
    let sender = Sender::of(&app).await;
    let script = Script::default();
    let services = app.platform().services_for("mail").unwrap();
    let courier = fn_mail::handler_with(&services, Box::new(script.clone())).await.unwrap();
    let job = |email: &str| MailJob::PasswordForgotten {
        email: email.to_owned(),
        request_id: "req_1".to_owned(),
        ip: "192.0.2.1".to_owned(),
    };
    let addresses = [TO, "nobody@example.com", "outage@example.com", "panic@example.com"];
    let sealed = addresses.map(|email| sender.seal.seal(&job(email)).unwrap());
    let failures = courier.handle(batch(&sealed.each_ref().map(String::as_str))).await.batch_item_failures;
    let failed: Vec<_> = failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
    assert_eq!(failed, ["2", "3"], "nobody's address is done with; what failed comes again");
    assert_eq!(app.mails().len(), 1);
    let asked = script.asked.lock().unwrap()[0].clone();
    assert_eq!((asked.request_id.as_str(), asked.ip.as_str()), ("req_1", "192.0.2.1"));
    assert!(!format!("{asked:?}").contains(TO));

    // By the queue, to what issues resets in earnest: nobody has the address, so the job is done.
    MailQueue::from_services(&sender.services).unwrap().send(&sender.seal, &job(TO)).await.unwrap();
    app.drain().await;
    assert_eq!((left_in(&app, "MailQueue"), app.mails().len()), (0, 1));
}

#[tokio::test]
async fn a_mail_in_the_outbox_that_cannot_be_read_is_parked() {
    let app = TestApp::start().await;
    let sender = Sender::of(&app).await;
    let table = app.platform().table_name("ActivityTable").unwrap().to_owned();
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let put = sender.services.aws.dynamodb.put_item().table_name(table);
    put.item("pk", text("ORG#x#MAIL#2026-11-22")).item("sk", text("MAIL#x")).send().await.unwrap();
    sender.invite("t0ken").await;
    assert_eq!(app.token_mailed_to(TO).await, "t0ken", "it does not hold up what comes after it");
    assert_eq!(left_in(&app, "FanoutFaultsQueue"), 1);
    app.leaves_jobs();
}
