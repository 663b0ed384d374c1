use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, Put,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TransactWriteItem,
};
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, SendMessageBatchRequestEntry};
use clock::utc;
use runtime::AwsClients;

use super::queues::Settings;
use super::*;

struct Fixture {
    engines: Engines,
    aws: AwsClients,
    hand: clock::ManualClock,
}

async fn fixture(metering: bool) -> Fixture {
    let (clock, hand) = Clock::manual(utc(2026, 1, 1, 0, 0));
    let engines = Engines::open(&Place::Memory, &clock, metering, ADDRESS).unwrap();
    let aws = AwsClients::from_config(&engines.sdk_config().await);
    aws.dynamodb
        .create_table()
        .table_name("things")
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash).build().unwrap())
        .attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name("pk")
                .attribute_type(ScalarAttributeType::S)
                .build()
                .unwrap(),
        )
        .send()
        .await
        .unwrap();
    engines.queues().create("jobs", Settings::default());
    engines.meter().reset();
    Fixture { engines, aws, hand }
}

const URL: &str = "http://sqs.eu-central-1.localhost/000000000000/jobs";

fn item(pk: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([("pk".to_owned(), AttributeValue::S(pk.to_owned()))])
}

#[tokio::test]
async fn the_sdk_speaks_to_the_database_in_process() {
    let Fixture { aws, .. } = fixture(false).await;
    aws.dynamodb.put_item().table_name("things").set_item(Some(item("a"))).send().await.unwrap();
    let found = aws.dynamodb.get_item().table_name("things").set_key(Some(item("a"))).send().await.unwrap();
    assert_eq!(found.item.unwrap(), item("a"));

    let refused = aws
        .dynamodb
        .put_item()
        .table_name("things")
        .set_item(Some(item("a")))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    let aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(refused) =
        refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(refused.item.unwrap(), item("a"));
}

#[tokio::test]
async fn a_cancelled_transaction_says_which_item_was_refused() {
    let Fixture { aws, .. } = fixture(false).await;
    let put = |pk: &str| {
        let put = Put::builder()
            .table_name("things")
            .set_item(Some(item(pk)))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    aws.dynamodb.transact_write_items().transact_items(put("a")).send().await.unwrap();
    let refused = aws
        .dynamodb
        .transact_write_items()
        .transact_items(put("b"))
        .transact_items(put("a"))
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        refused,
    ) = refused
    else {
        panic!("{refused:?}");
    };
    let codes: Vec<_> =
        refused.cancellation_reasons().iter().map(|it| it.code().unwrap_or_default()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    let absent = aws.dynamodb.get_item().table_name("things").set_key(Some(item("b"))).send().await.unwrap();
    assert!(absent.item.is_none());
}

#[tokio::test]
async fn a_transaction_sent_twice_is_carried_out_once() {
    let Fixture { aws, .. } = fixture(false).await;
    let put = async |token: &str, pk: &str| {
        let put = Put::builder().table_name("things").set_item(Some(item(pk)));
        let put = put.condition_expression("attribute_not_exists(pk)").build().unwrap();
        let transaction = aws.dynamodb.transact_write_items().client_request_token(token);
        transaction.transact_items(TransactWriteItem::builder().put(put).build()).send().await
    };
    put("one", "a").await.unwrap();
    put("one", "a").await.expect("the first answer again");
    assert!(put("two", "a").await.is_err(), "another transaction");
    let refused = put("one", "b").await.unwrap_err();
    assert_eq!(refused.code(), Some("IdempotentParameterMismatchException"));
    let refused = put(&"x".repeat(37), "c").await.unwrap_err();
    assert_eq!(refused.code(), Some("ValidationException"));
}

#[tokio::test]
async fn errors_have_the_engine_s_own_codes() {
    let Fixture { aws, engines, .. } = fixture(false).await;
    let error =
        aws.dynamodb.put_item().table_name("absent").set_item(Some(item("a"))).send().await.unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    let answer = engines.dispatch("DynamoDB_20120810.PutItem", Bytes::from_static(b"{}")).await;
    assert_eq!(answer.status, 400);
    assert!(String::from_utf8_lossy(&answer.body).contains("#ValidationException"), "{answer:?}");
    let answer = engines.dispatch("DynamoDB_20120810.Brew", Bytes::from_static(b"{}")).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("UnknownOperationException"), "{answer:?}");
    let answer = engines.dispatch("nonsense", Bytes::new()).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn calls_are_counted_by_operation_and_table_and_cost_is_invisible_to_the_caller() {
    let Fixture { aws, engines, .. } = fixture(true).await;
    assert_eq!(engines.meter().snapshot().calls(), 0);
    let put = aws.dynamodb.put_item().table_name("things").set_item(Some(item("a"))).send().await.unwrap();
    assert!(put.consumed_capacity.is_none());
    let got = aws.dynamodb.get_item().table_name("things").set_key(Some(item("a"))).consistent_read(true);
    got.send().await.unwrap();
    let counted = engines.meter().snapshot();
    assert_eq!((counted.calls(), counted.calls_of("PutItem"), counted.calls_on("things")), (2, 1, 2));
    assert!((counted.capacity_units() - 2.0).abs() < f64::EPSILON, "{counted:?}");
    assert_eq!(counted.calls_on("other"), 0);
}

#[tokio::test]
async fn the_sdk_sends_receives_and_deletes_messages() {
    let Fixture { aws, engines, .. } = fixture(false).await;
    aws.sqs
        .send_message()
        .queue_url(URL)
        .message_body("hello")
        .message_group_id("ep_1")
        .send()
        .await
        .unwrap();
    let received = aws.sqs.receive_message().queue_url(URL).send().await.unwrap().messages.unwrap();
    assert_eq!(received[0].body.as_deref(), Some("hello"));
    let handle = received[0].receipt_handle.clone().unwrap();
    aws.sqs.delete_message().queue_url(URL).receipt_handle(handle).send().await.unwrap();
    assert_eq!(engines.queues().depth("jobs").unwrap().total(), 0);
    assert_eq!(engines.meter().snapshot().calls_on("jobs"), 3);
}

#[tokio::test]
async fn characters_that_sqs_does_not_take_are_refused_and_the_entries_beside_them_are_not() {
    let Fixture { aws, engines, .. } = fixture(false).await;
    let error = aws.sqs.send_message().queue_url(URL).message_body("a\u{FFFF}").send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidMessageContents"));
    let send = async |bodies: &[&str]| {
        let entries = bodies.iter().enumerate().map(|(id, body)| {
            SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(*body).build().unwrap()
        });
        let call = aws.sqs.send_message_batch().queue_url(URL).set_entries(Some(entries.collect()));
        let answer = call.send().await.unwrap();
        assert!(answer.failed.iter().all(|it| it.sender_fault && it.code == "InvalidMessageContents"));
        let ids = |ids: Vec<&String>| ids.into_iter().cloned().collect::<Vec<_>>();
        let failed = ids(answer.failed.iter().map(|it| &it.id).collect());
        (ids(answer.successful.iter().map(|it| &it.id).collect()), failed)
    };
    let all: Vec<_> = ["0", "2"].map(str::to_owned).into();
    assert_eq!(
        send(&["\u{FFFD}\u{1F600}\u{1FFFE}", "\u{FFFE}", "\t\n\r \u{7F}"]).await,
        (all, vec!["1".to_owned()])
    );
    assert_eq!(send(&["\u{FFFE}", "\u{1}"]).await.0, Vec::<String>::new());
    assert_eq!(engines.queues().depth("jobs").unwrap().total(), 2);
}

#[tokio::test]
async fn limits_of_sqs_hold_here_too() {
    let Fixture { aws, hand, .. } = fixture(false).await;
    let entry = |id: usize| {
        SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body("x").build().unwrap()
    };
    let batch = |ids: Vec<usize>| {
        let entries = ids.into_iter().map(entry).collect();
        aws.sqs.send_message_batch().queue_url(URL).set_entries(Some(entries)).send()
    };
    assert_eq!(batch((0..10).collect()).await.unwrap().successful.len(), 10);
    let code = |error: &dyn Fn() -> Option<String>| error().unwrap_or_default();
    let error = batch((0..11).collect()).await.unwrap_err();
    assert_eq!(code(&|| error.code().map(str::to_owned)), "TooManyEntriesInBatchRequest");
    let error = batch(vec![1, 1]).await.unwrap_err();
    assert_eq!(code(&|| error.code().map(str::to_owned)), "BatchEntryIdsNotDistinct");
    let error =
        aws.sqs.send_message().queue_url(URL).message_body("x").delay_seconds(901).send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValue"));

    let received = aws.sqs.receive_message().queue_url(URL).send().await.unwrap().messages.unwrap();
    let handle = received[0].receipt_handle.clone().unwrap();
    hand.advance(Duration::from_secs(1));
    let too_long =
        aws.sqs.change_message_visibility().queue_url(URL).receipt_handle(&handle).visibility_timeout(43_200);
    assert_eq!(too_long.send().await.unwrap_err().code(), Some("InvalidParameterValue"));
    let entries = ["good", "bad"].map(|id| {
        let handle =
            if id == "good" { handle.clone() } else { "1.1.00000000000000000000000000000000".to_owned() };
        ChangeMessageVisibilityBatchRequestEntry::builder()
            .id(id)
            .receipt_handle(handle)
            .visibility_timeout(60)
            .build()
            .unwrap()
    });
    let changed = aws
        .sqs
        .change_message_visibility_batch()
        .queue_url(URL)
        .set_entries(Some(entries.to_vec()))
        .send()
        .await
        .unwrap();
    assert_eq!(changed.successful[0].id, "good");
    assert_eq!(
        (changed.failed[0].id.as_str(), changed.failed[0].code.as_str()),
        ("bad", "MessageNotInflight")
    );
}

#[tokio::test]
async fn a_long_poll_ends_when_a_message_arrives() {
    let Fixture { aws, engines, .. } = fixture(false).await;
    let poll = tokio::spawn(aws.sqs.receive_message().queue_url(URL).wait_time_seconds(20).send());
    // Whichever comes first, the poll or the message, the poll must not wait for its twenty seconds.
    engines
        .queues()
        .send("jobs", queues::Outgoing { body: "late".to_owned(), ..queues::Outgoing::default() })
        .unwrap();
    let received = tokio::time::timeout(Duration::from_secs(5), poll).await.unwrap().unwrap().unwrap();
    assert_eq!(received.messages.unwrap()[0].body.as_deref(), Some("late"));
}

#[tokio::test]
async fn secrets_are_kept_by_name() {
    let Fixture { aws, .. } = fixture(false).await;
    aws.secrets.create_secret().name("master").secret_string("s3cret").send().await.unwrap();
    let secret = aws.secrets.get_secret_value().secret_id("master").send().await.unwrap();
    assert_eq!(secret.secret_string.as_deref(), Some("s3cret"));
    let error = aws.secrets.get_secret_value().secret_id("absent").send().await.unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
}

fn a_mail(
    client: &aws_sdk_sesv2::Client,
) -> aws_sdk_sesv2::operation::send_email::builders::SendEmailFluentBuilder {
    use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
    let content = |text: &str| Content::builder().data(text).charset("UTF-8").build().unwrap();
    let body = Body::builder().text(content("Größe\n")).build();
    let message = Message::builder().subject(content("Hello")).body(body).build();
    client
        .send_email()
        .from_email_address("us@example.com")
        .destination(Destination::builder().to_addresses("ada@example.com").build())
        .content(EmailContent::builder().simple(message).build())
}

#[tokio::test]
async fn mails_end_in_the_mailbox_and_faults_strike_them() {
    let Fixture { aws, engines, .. } = fixture(false).await;
    let client = aws_sdk_sesv2::Client::new(&aws.config);
    let sent = a_mail(&client).send().await.unwrap();
    assert!(sent.message_id.is_some());
    let mails = engines.mailbox().received();
    assert_eq!((mails[0].to.as_str(), mails[0].text.as_str()), ("ada@example.com", "Größe\n"));
    assert_eq!((mails.len(), engines.meter().snapshot().calls_of("SendEmail")), (1, 1));

    let rejected = r#"{"__type":"MessageRejected","message":"no"}"#;
    engines.faults().order("SendEmail", 0, 1, Strike::Before, 400, rejected);
    let error = a_mail(&client).send().await.unwrap_err().into_service_error();
    assert!(error.is_message_rejected(), "{error:?}");
    engines.faults().order("SendEmail", 0, 1, Strike::After, 400, rejected);
    a_mail(&client).send().await.unwrap_err();
    assert_eq!(engines.mailbox().received().len(), 2);
}

#[tokio::test]
async fn ses_refuses_what_is_no_mail() {
    let Fixture { aws, engines, .. } = fixture(false).await;
    let client = aws_sdk_sesv2::Client::new(&aws.config);
    let code = async |mail: aws_sdk_sesv2::operation::send_email::builders::SendEmailFluentBuilder| {
        mail.send().await.unwrap_err().code().unwrap_or_default().to_owned()
    };
    assert_eq!(code(a_mail(&client).from_email_address("nobody")).await, "BadRequestException");
    assert_eq!(code(a_mail(&client).set_destination(None)).await, "BadRequestException");
    let injected = aws_sdk_sesv2::types::Destination::builder().to_addresses("a@b.co\r\nBcc: c@d.co").build();
    assert_eq!(code(a_mail(&client).destination(injected)).await, "BadRequestException");
    let empty = aws_sdk_sesv2::types::EmailContent::builder().build();
    assert_eq!(code(a_mail(&client).content(empty)).await, "BadRequestException");
    assert!(engines.dispatch_rest("GET", "/v2/email/outbound-emails", b"").is_none());
    assert!(engines.dispatch_rest("POST", "/v2/email/identities", b"").is_none());
    assert!(engines.mailbox().received().is_empty());
}

#[tokio::test]
async fn other_processes_reach_the_same_engines_through_a_port() {
    let Fixture { engines, .. } = fixture(false).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (trigger, shutdown) = crate::shutdown::channel();
    let server = tokio::spawn(crate::server::serve(listener, engines.endpoint(), shutdown));
    let config = engines.sdk_config().await;
    let socket = aws_config::SdkConfig::builder()
        .behavior_version(runtime::behavior())
        .region(config.region().cloned())
        .credentials_provider(config.credentials_provider().unwrap())
        .endpoint_url(url)
        .build();
    let aws = AwsClients::from_config(&socket);
    aws.dynamodb.put_item().table_name("things").set_item(Some(item("a"))).send().await.unwrap();
    aws.sqs.send_message().queue_url(URL).message_body("hello").send().await.unwrap();
    assert_eq!(engines.queues().depth("jobs").unwrap().visible, 1);
    a_mail(&aws_sdk_sesv2::Client::new(&aws.config)).send().await.unwrap();
    assert_eq!(engines.mailbox().received().len(), 1);
    drop(aws);
    trigger.request();
    server.await.unwrap();
}
