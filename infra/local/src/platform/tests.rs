//! A small template with test doubles for functions, on the real engines.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use aws_lambda_events::event::dynamodb;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Body;
use axum::http::StatusCode;
use clock::{ManualClock, utc};
use runtime::StartError;
use tower::ServiceExt;

use super::*;

const TEMPLATE: &str = r#"
Resources:
  Events:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{ AttributeName: pk, AttributeType: S }]
      KeySchema: [{ AttributeName: pk, KeyType: HASH }]
      StreamSpecification: { StreamViewType: NEW_IMAGE }
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 30
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Faults.Arn, maxReceiveCount: 3 }
  Faults: { Type: AWS::SQS::Queue }
  Lost: { Type: AWS::SQS::Queue }
  Master:
    Type: AWS::SecretsManager::Secret
    Properties: { GenerateSecretString: { PasswordLength: 40 } }
  Web:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: web } }
    Properties:
      Environment: { Variables: { TABLE: !Ref Events, SECRET_ID: !GetAtt Master.Id, CHOICE: one } }
      Events:
        Default: { Type: HttpApi, Properties: { Path: $default, Method: ANY } }
  Fan:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: fan } }
    Properties:
      Events:
        Stream:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Events.StreamArn
            StartingPosition: TRIM_HORIZON
            BatchSize: 4
            MaximumRetryAttempts: 2
            BisectBatchOnFunctionError: true
            FunctionResponseTypes: [ReportBatchItemFailures]
            FilterCriteria: { Filters: [{ Pattern: '{"eventName":["INSERT"]}' }] }
            DestinationConfig: { OnFailure: { Type: SQS, Destination: !GetAtt Lost.Arn } }
  Work:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: work } }
    Properties:
      Events:
        Jobs:
          Type: SQS
          Properties:
            Queue: !GetAtt Jobs.Arn
            BatchSize: 10
            FunctionResponseTypes: [ReportBatchItemFailures]
  Tick:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: tick } }
    Properties:
      Events:
        Hourly: { Type: Schedule, Properties: { Schedule: rate(1 hour) } }
"#;

/// What the doubles were given, and what they are to do with it.
#[derive(Default)]
struct Script {
    fanned: Mutex<Vec<Vec<String>>>,
    worked: Mutex<Vec<Vec<String>>>,
    /// The stream function panics when a batch holds one of these.
    poison: Mutex<Vec<String>>,
    /// The stream function reports these as failed.
    refused: Mutex<Vec<String>>,
    /// The events the scheduled function was given.
    ticked: Mutex<Vec<serde_json::Value>>,
    /// What the queue function does, call by call; success when empty.
    work: Mutex<VecDeque<Work>>,
}

enum Work {
    Panic,
    Fail(&'static str),
    FailUnknown,
}

fn pk(record: &dynamodb::EventRecord) -> String {
    match record.change.keys.get("pk") {
        // The item's own type belongs to a crate that is not a dependency; its debug form is `S("…")`.
        Some(key) => format!("{key:?}").trim_start_matches("S(\"").trim_end_matches("\")").to_owned(),
        None => String::new(),
    }
}

impl Script {
    fn fan(&self, event: &dynamodb::Event) -> DynamoDbEventResponse {
        let keys: Vec<String> = event.records.iter().map(pk).collect();
        self.fanned.lock().unwrap().push(keys.clone());
        let poisoned = keys.iter().any(|key| self.poison.lock().unwrap().contains(key));
        assert!(!poisoned, "poison");
        let mut answer = DynamoDbEventResponse::default();
        for record in &event.records {
            if self.refused.lock().unwrap().contains(&pk(record)) {
                let mut failure = DynamoDbBatchItemFailure::default();
                failure.item_identifier.clone_from(&record.change.sequence_number);
                answer.batch_item_failures.push(failure);
            }
        }
        answer
    }

    fn work(&self, event: &SqsEvent) -> SqsBatchResponse {
        let bodies: Vec<String> = event.records.iter().map(|it| it.body.clone().unwrap()).collect();
        self.worked.lock().unwrap().push(bodies);
        let mut answer = SqsBatchResponse::default();
        let mut fail = |id: String| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            answer.batch_item_failures.push(failure);
        };
        let next = self.work.lock().unwrap().pop_front();
        match next {
            None => {}
            Some(Work::Panic) => panic!("a bug"),
            Some(Work::FailUnknown) => fail("who".to_owned()),
            Some(Work::Fail(body)) => {
                let of = event.records.iter().filter(|it| it.body.as_deref() == Some(body));
                of.for_each(|it| fail(it.message_id.clone().unwrap()));
            }
        }
        answer
    }

    fn fanned(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut *self.fanned.lock().unwrap())
    }

    fn worked(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut *self.worked.lock().unwrap())
    }
}

fn registry(script: &Arc<Script>) -> Registry {
    let (fan, work, tick) = (Arc::clone(script), Arc::clone(script), Arc::clone(script));
    Registry::empty()
        .http("web", |services: Services| async move {
            let secret = services.secret("SECRET_ID").await?;
            let table = services.environment.required("TABLE")?;
            let choice = services.environment.required("CHOICE")?;
            assert_eq!(services.environment.optional("WEBHOOK_ALLOW_LOOPBACK"), Some("true"));
            Ok(Router::new().fallback(any(move || {
                let (secret, table, choice) = (secret.clone(), table.clone(), choice.clone());
                async move { format!("{table} {choice} {secret}") }
            })))
        })
        .stream("fan", move |_| {
            let script = Arc::clone(&fan);
            async move {
                Ok::<_, StartError>(move |event| {
                    let script = Arc::clone(&script);
                    async move { script.fan(&event) }
                })
            }
        })
        .queue("work", move |_| {
            let script = Arc::clone(&work);
            async move {
                Ok::<_, StartError>(move |event| {
                    let script = Arc::clone(&script);
                    async move { script.work(&event) }
                })
            }
        })
        .schedule("tick", move |_| {
            let script = Arc::clone(&tick);
            async move {
                Ok::<_, StartError>(move |event| {
                    let script = Arc::clone(&script);
                    async move {
                        let mut ticked = script.ticked.lock().unwrap();
                        ticked.push(event);
                        if ticked.len() == 2 { Err("the second time".into()) } else { Ok(()) }
                    }
                })
            }
        })
}

struct Fixture {
    platform: Platform,
    script: Arc<Script>,
    hand: ManualClock,
    directory: tempfile::TempDir,
}

fn options(directory: &tempfile::TempDir, script: &Arc<Script>, data: Data) -> (Options, ManualClock) {
    let template = directory.path().join("template.yaml");
    if !template.exists() {
        std::fs::write(&template, TEMPLATE).unwrap();
    }
    let (clock, hand) = Clock::manual(utc(2026, 1, 1, 0, 0));
    (Options { data, clock, registry: registry(script), ..Options::new(template) }, hand)
}

async fn start() -> Fixture {
    let (directory, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let (options, hand) = options(&directory, &script, Data::Memory);
    Fixture { platform: Platform::start(options).await.unwrap(), script, hand, directory }
}

async fn start_on_disk(
    directory: &tempfile::TempDir,
    script: &Arc<Script>,
) -> Result<Platform, PlatformError> {
    let data = Data::Directory(directory.path().join("data"));
    Platform::start(options(directory, script, data).0).await
}

async fn put(platform: &Platform, keys: &[&str]) {
    let aws = AwsClients::from_config(&platform.engines().sdk_config().await);
    for key in keys {
        let item = HashMap::from([("pk".to_owned(), AttributeValue::S((*key).to_owned()))]);
        aws.dynamodb.put_item().table_name("artisan-local-Events").set_item(Some(item)).send().await.unwrap();
    }
}

fn send(platform: &Platform, bodies: &[&str]) {
    for body in bodies {
        let message = crate::engines::queues::Outgoing { body: (*body).to_owned(), ..Default::default() };
        platform.engines().queues().send("artisan-local-Jobs", message).unwrap();
    }
}

async fn get(platform: &Platform) -> (StatusCode, String) {
    use http_body_util::BodyExt;
    let response = platform.router().oneshot(Request::get("/x").body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_function_is_hosted_with_its_environment_and_secret() {
    let Fixture { platform, .. } = start().await;
    let (status, body) = get(&platform).await;
    assert_eq!(status, StatusCode::OK);
    let parts: Vec<&str> = body.split(' ').collect();
    assert_eq!((parts[0], parts[1], parts[2].len()), ("artisan-local-Events", "one", 40));
    let services = platform.services_for("web").unwrap();
    assert_eq!(services.environment.required("TABLE").unwrap(), "artisan-local-Events");
    assert!(platform.services_for("absent").is_none());
    assert_eq!(platform.table_name("Events"), Some("artisan-local-Events"));
    assert_eq!(platform.route_keys().collect::<Vec<_>>(), ["$default"]);
}

#[tokio::test]
async fn overrides_reach_every_function() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let (mut options, _) = options(&directory, &script, Data::Memory);
    options.environment.insert("CHOICE".to_owned(), "two".to_owned());
    let platform = Platform::start(options).await.unwrap();
    assert!(get(&platform).await.1.contains(" two "));
}

#[tokio::test]
async fn a_function_nobody_knows_is_a_clear_error() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let (mut options, _) = options(&directory, &script, Data::Memory);
    options.registry = Registry::empty();
    let error = Platform::start(options).await.unwrap_err().to_string();
    assert!(error.contains("Fan runs the binary fan"), "{error}");
}

#[tokio::test]
async fn a_function_called_in_a_way_it_does_not_answer_is_a_clear_error() {
    for (binary, trigger) in [("tick", "a schedule"), ("fan", "a stream"), ("work", "a queue")] {
        let (directory, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
        let (mut options, _) = options(&directory, &script, Data::Memory);
        options.registry = options.registry.http(binary, |_| async { Ok(Router::new()) });
        let error = Platform::start(options).await.unwrap_err().to_string();
        assert!(error.contains(&format!("calls the function {binary} by {trigger}")), "{error}");
    }
}

#[tokio::test]
async fn messages_are_deleted_when_the_function_succeeded_with_them() {
    let Fixture { platform, script, hand, .. } = start().await;
    send(&platform, &["a", "b", "c"]);
    script.work.lock().unwrap().push_back(Work::Fail("b"));
    assert_eq!(platform.drain().await, 1);
    assert_eq!(script.worked(), [["a", "b", "c"]]);
    assert_eq!(platform.depth("Jobs").unwrap(), Depth { visible: 0, in_flight: 1, delayed: 0 });
    assert_eq!(platform.drain().await, 0, "the failed one is still hidden");
    hand.advance(Duration::from_secs(30));
    assert_eq!(platform.drain().await, 1);
    assert_eq!(script.worked(), [["b"]]);
    assert_eq!(platform.depth("Jobs").unwrap().total(), 0);
}

#[tokio::test]
async fn a_panic_or_a_nonsensical_report_fails_the_whole_batch() {
    let Fixture { platform, script, hand, .. } = start().await;
    send(&platform, &["a", "b"]);
    script.work.lock().unwrap().extend([Work::Panic, Work::FailUnknown]);
    for _ in 0..2 {
        platform.drain().await;
        assert_eq!(platform.depth("Jobs").unwrap().in_flight, 2);
        hand.advance(Duration::from_secs(30));
    }
    platform.drain().await;
    assert_eq!(platform.depth("Jobs").unwrap().total(), 0);
    assert_eq!(script.worked().len(), 3);
}

#[tokio::test]
async fn a_message_that_never_succeeds_ends_in_the_dead_letter_queue() {
    let Fixture { platform, script, hand, .. } = start().await;
    send(&platform, &["a"]);
    script.work.lock().unwrap().extend([Work::Panic, Work::Panic, Work::Panic]);
    for _ in 0..4 {
        platform.drain().await;
        hand.advance(Duration::from_secs(30));
    }
    assert_eq!(script.worked().len(), 3);
    assert_eq!(platform.depth("Jobs").unwrap().total(), 0);
    assert_eq!(&*platform.messages("Faults")[0].body, "a");
}

#[tokio::test]
async fn a_scheduled_function_is_called_when_told_and_not_by_a_drain() {
    let Fixture { platform, script, hand, .. } = start().await;
    hand.advance(Duration::from_secs(7200));
    assert_eq!(platform.drain().await, 0);
    assert!(script.ticked.lock().unwrap().is_empty());
    assert!(platform.run_schedules().await.is_empty());
    let errors = platform.run_schedules().await;
    assert_eq!(errors[0].function, "Tick");
    assert_eq!(errors[0].source.to_string(), "the second time");
    assert!(platform.run_schedules().await.is_empty());
    let event = script.ticked.lock().unwrap()[0].clone();
    assert_eq!(event["detail-type"], "Scheduled Event");
    assert_eq!(event["time"], "2026-01-01T02:00:00.000Z");
}

#[tokio::test]
async fn new_records_reach_the_stream_function_in_order_and_filtered() {
    let Fixture { platform, script, .. } = start().await;
    put(&platform, &["a", "b", "b", "c", "d", "e"]).await;
    platform.drain().await;
    // The second "b" is a MODIFY; four records are read at a time.
    assert_eq!(script.fanned(), [vec!["a", "b", "c"], vec!["d", "e"]]);
    assert_eq!(platform.drain().await, 0);
    put(&platform, &["f"]).await;
    platform.drain().await;
    assert_eq!(script.fanned(), [["f"]]);
}

#[tokio::test]
async fn a_reported_failure_is_retried_from_there() {
    let Fixture { platform, script, hand, .. } = start().await;
    script.refused.lock().unwrap().push("b".to_owned());
    put(&platform, &["a", "b", "c"]).await;
    platform.drain().await;
    assert_eq!(script.fanned(), [["a", "b", "c"]]);
    script.refused.lock().unwrap().clear();
    assert_eq!(platform.drain().await, 0, "not before the backoff is over");
    hand.advance(Duration::from_millis(100));
    platform.drain().await;
    assert_eq!(script.fanned(), [["b", "c"]]);
}

#[tokio::test]
async fn a_poisoned_record_is_isolated_retried_and_given_up() {
    let Fixture { platform, script, hand, .. } = start().await;
    script.poison.lock().unwrap().push("b".to_owned());
    put(&platform, &["a", "b", "c", "d", "e"]).await;
    for _ in 0..20 {
        platform.drain().await;
        hand.advance(Duration::from_secs(60));
    }
    let batches = script.fanned();
    assert_eq!(batches[0], ["a", "b", "c", "d"]);
    assert_eq!(batches[1], ["a", "b"]);
    assert_eq!(batches[2], ["a"]);
    assert_eq!(batches[3..6], [["b"], ["b"], ["b"]], "once and two retries");
    assert_eq!(batches[6..], [vec!["c", "d"], vec!["e"]]);
    let lost = platform.messages("Lost");
    assert_eq!(lost.len(), 1);
    let notice: serde_json::Value = serde_json::from_str(&lost[0].body).unwrap();
    assert_eq!(notice["requestContext"]["condition"], "RetryAttemptsExhausted");
    assert_eq!(notice["DDBStreamBatchInfo"]["batchSize"], 1);
}

#[tokio::test]
async fn a_restart_goes_on_after_the_last_finished_batch() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let platform = start_on_disk(&directory, &script).await.unwrap();
    let secret = get(&platform).await.1;
    put(&platform, &["a", "b"]).await;
    platform.drain().await;
    assert_eq!(script.fanned(), [["a", "b"]]);
    script.poison.lock().unwrap().push("c".to_owned());
    put(&platform, &["c", "d"]).await;
    platform.drain().await;
    drop(platform);
    script.poison.lock().unwrap().clear();
    script.fanned();
    let platform = start_on_disk(&directory, &script).await.unwrap();
    platform.drain().await;
    assert_eq!(script.fanned(), [["c", "d"]]);
    assert_eq!(get(&platform).await.1, secret, "secrets outlive the process");
}

/// Like [`registry`], with a stream function that makes a job of every record.
fn jobs_of_records(script: &Arc<Script>) -> Registry {
    let own = Arc::clone(script);
    registry(script).stream("fan", move |services: Services| {
        let script = Arc::clone(&own);
        async move {
            Ok::<_, StartError>(move |event: dynamodb::Event| {
                let (script, sqs) = (Arc::clone(&script), services.aws.sqs.clone());
                async move {
                    let answer = script.fan(&event);
                    for key in event.records.iter().map(pk) {
                        let queue = "http://sqs.localhost/0/artisan-local-Jobs";
                        sqs.send_message().queue_url(queue).message_body(key).send().await.unwrap();
                    }
                    answer
                }
            })
        }
    })
}

#[tokio::test]
async fn jobs_that_only_the_queue_knew_of_come_again_after_a_restart() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let start = async || {
        let data = Data::Directory(directory.path().join("data"));
        let (options, hand) = options(&directory, &script, data);
        let options = Options { registry: jobs_of_records(&script), ..options };
        (Platform::start(options).await.unwrap(), hand)
    };
    let (platform, _) = start().await;
    put(&platform, &["a"]).await;
    platform.drain().await;
    assert_eq!((script.fanned(), script.worked()), (vec![vec!["a".to_owned()]], vec![vec!["a".to_owned()]]));
    script.work.lock().unwrap().extend([Work::Panic, Work::Panic]);
    put(&platform, &["b", "c"]).await;
    platform.drain().await;
    assert_eq!((script.fanned(), script.worked().len()), (vec![vec!["b".to_owned(), "c".to_owned()]], 1));
    drop(platform);

    // Long after, when the records are old enough to be removed.
    let (platform, hand) = start().await;
    hand.advance(Duration::from_secs(400 * 86_400));
    platform.clear_streams().await;
    platform.drain().await;
    assert_eq!(script.fanned(), [["b", "c"]], "a is safe, and b and c are not");
    assert_eq!(script.worked(), [["b", "c"]], "it panics once more");
    drop(platform);

    let (platform, _) = start().await;
    platform.drain().await;
    assert_eq!((script.fanned(), script.worked().len()), (vec![vec!["b".to_owned(), "c".to_owned()]], 1));
    assert_eq!(platform.depth("Jobs").unwrap().total(), 0);
    drop(platform);

    let (platform, _) = start().await;
    platform.drain().await;
    assert!(script.fanned().is_empty() && script.worked().is_empty());
}

#[tokio::test]
async fn every_queue_of_a_function_has_a_poller_and_a_bound_of_its_own() {
    const SLOW: &str = "        Slow: { Type: SQS, Properties: { Queue: !GetAtt Lost.Arn, BatchSize: 1, ScalingConfig: { MaximumConcurrency: 2 } } }
  Tick:";
    let (directory, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let template = TEMPLATE
        .replace("BatchSize: 10", "BatchSize: 1\n            ScalingConfig: { MaximumConcurrency: 3 }")
        .replace("  Tick:", SLOW);
    std::fs::write(directory.path().join("template.yaml"), template).unwrap();
    let (mut options, _) = options(&directory, &script, Data::Memory);
    options.clock = Clock::system();
    let running = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
    let release = Arc::new(tokio::sync::Semaphore::new(0));
    let (own, gate) = (Arc::clone(&running), Arc::clone(&release));
    options.registry = options.registry.queue("work", move |_| {
        let (running, gate) = (Arc::clone(&own), Arc::clone(&gate));
        async move {
            Ok::<_, StartError>(move |event: SqsEvent| {
                let (running, gate) = (Arc::clone(&running), Arc::clone(&gate));
                async move {
                    let queue = event.records[0].event_source_arn.clone().unwrap();
                    *running.lock().unwrap().entry(queue.clone()).or_default() += 1;
                    gate.acquire().await.unwrap().forget();
                    *running.lock().unwrap().entry(queue).or_default() -= 1;
                    SqsBatchResponse::default()
                }
            })
        }
    });
    let platform = Platform::start(options).await.unwrap();
    for queue in ["artisan-local-Jobs", "artisan-local-Lost"] {
        for _ in 0..8 {
            platform.engines().queues().send(queue, Default::default()).unwrap();
        }
    }
    let (_trigger, shutdown) = crate::shutdown::channel();
    platform.spawn_event_sources(shutdown);
    let now = || {
        let running = running.lock().unwrap();
        let of = |end: &str| running.iter().find(|(queue, _)| queue.ends_with(end)).map_or(0, |it| *it.1);
        (of("Jobs"), of("Lost"))
    };
    let mut most = (0, 0);
    let done = async {
        // Both are full before anything is released, and from then on never more than full.
        while now() != (3, 2) {
            tokio::task::yield_now().await;
        }
        for _ in 0..16 {
            release.add_permits(1);
            for _ in 0..20 {
                tokio::task::yield_now().await;
                let (jobs, lost) = now();
                most = (jobs.max(most.0), lost.max(most.1));
            }
        }
        let left = || platform.depth("Jobs").unwrap().total() + platform.depth("Lost").unwrap().total();
        while left() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), done).await.unwrap();
    assert_eq!(most, (3, 2));
}

#[tokio::test]
async fn a_data_directory_has_one_platform_at_a_time() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let first = start_on_disk(&directory, &script).await.unwrap();
    let error = start_on_disk(&directory, &script).await.unwrap_err();
    assert!(error.to_string().contains("in use by another running platform"), "{error}");
    drop(first);
    start_on_disk(&directory, &script).await.unwrap();
}

#[tokio::test]
async fn a_damaged_database_is_an_error_that_says_what_to_do() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let data = directory.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("artisan.db"), "this is not a database, however long it may be. ".repeat(100))
        .unwrap();
    let error = start_on_disk(&directory, &script).await.unwrap_err();
    assert!(error.to_string().contains("delete the data directory"), "{error}");
}

#[tokio::test]
async fn indexes_follow_the_template_and_keys_cannot_change() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    drop(start_on_disk(&directory, &script).await.unwrap());
    let path = directory.path().join("template.yaml");
    let indexed = TEMPLATE.replace(
        "      KeySchema: [{ AttributeName: pk, KeyType: HASH }]\n",
        "      KeySchema: [{ AttributeName: pk, KeyType: HASH }]\n      GlobalSecondaryIndexes:\n        - { IndexName: by-due, KeySchema: [{ AttributeName: due, KeyType: HASH }], Projection: { ProjectionType: ALL } }\n",
    );
    let indexed = indexed.replace(
        "[{ AttributeName: pk, AttributeType: S }]",
        "[{ AttributeName: pk, AttributeType: S }, { AttributeName: due, AttributeType: S }]",
    );
    std::fs::write(&path, &indexed).unwrap();
    let indexes = |platform: Platform| async move {
        let aws = AwsClients::from_config(&platform.engines().sdk_config().await);
        let table = aws.dynamodb.describe_table().table_name("artisan-local-Events").send().await.unwrap();
        table.table.unwrap().global_secondary_indexes.unwrap_or_default().len()
    };
    assert_eq!(indexes(start_on_disk(&directory, &script).await.unwrap()).await, 1);
    assert_eq!(indexes(start_on_disk(&directory, &script).await.unwrap()).await, 1);
    std::fs::write(&path, TEMPLATE).unwrap();
    assert_eq!(indexes(start_on_disk(&directory, &script).await.unwrap()).await, 0);
    std::fs::write(&path, TEMPLATE.replace("AttributeName: pk,", "AttributeName: id,")).unwrap();
    let error = start_on_disk(&directory, &script).await.unwrap_err();
    assert!(error.to_string().contains("Events has another primary key"), "{error}");
}

#[tokio::test]
async fn live_pollers_are_woken_by_writes_and_stop_in_order() {
    let (directory, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let (mut options, _) = options(&directory, &script, Data::Memory);
    options.clock = Clock::system();
    let platform = Platform::start(options).await.unwrap();
    let (trigger, shutdown) = crate::shutdown::channel();
    let running = platform.spawn_event_sources(shutdown);
    put(&platform, &["a"]).await;
    send(&platform, &["job"]);
    let both = async {
        while script.fanned.lock().unwrap().is_empty() || script.worked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
    trigger.request();
    tokio::time::timeout(Duration::from_secs(10), running).await.unwrap().unwrap();
    assert_eq!(platform.depth("Jobs").unwrap().total(), 0);
}

#[tokio::test]
async fn a_second_set_of_functions_can_live_in_another_time() {
    let Fixture { platform, directory, .. } = start().await;
    let (past, _) = Clock::manual(utc(2025, 1, 1, 0, 0));
    let router = platform.router_at(&past).await.unwrap();
    let response = router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    drop(directory);
}
