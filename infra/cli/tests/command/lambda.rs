//! `doctor` where Lambda has the functions: a stand-in says what Lambda would, and knows of nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use artisan_cli::cli::Target;
use artisan_cli::deployment::services;
use artisan_cli::doctor::{Report, examine};
use artisan_local::template::{Function, Template};
use artisan_local::{server, shutdown};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::deployment::Deployment;

/// What Lambda has.
#[derive(Clone)]
struct Lambda {
    mappings: Vec<Value>,
    /// By name: configuration, alias and reserved concurrency.
    functions: Vec<(String, Value, Value, Value)>,
    account: Value,
}

/// As the variables of the console have it.
fn name_of(function: &Function) -> String {
    format!("artisan-local-{}", function.logical_id)
}

fn mapping(function: &Function, source: String, rest: &Value) -> Value {
    let mut mapping = json!({
        "UUID": format!("uuid-of-{source}"),
        "EventSourceArn": source,
        "FunctionArn": format!("arn:aws:lambda:eu-central-1:000000000000:function:{}:live", name_of(function)),
        "State": "Enabled",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    });
    mapping.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    mapping
}

/// The patterns of a function's stream, as the template has them.
fn patterns(function: &Function) -> Vec<Value> {
    let text = std::fs::read_to_string(testkit::template()).unwrap();
    let (_, rest) = text.split_once(&format!("  {}:\n", function.logical_id)).unwrap();
    let (_, rest) = rest.split_once("Filters:\n").unwrap();
    let lines = rest.lines().map_while(|line| line.trim().strip_prefix("- Pattern: '"));
    lines.map(|line| json!({"Pattern": line.trim_end_matches('\'')})).collect()
}

impl Lambda {
    /// As the template deploys it for these tables and queues.
    async fn of(it: &Deployment) -> Self {
        let template = Template::read(&testkit::template()).unwrap();
        let (mut mappings, mut functions) = (Vec::new(), Vec::new());
        for function in &template.functions {
            for source in &function.queues {
                let queue = template.queues.iter().find(|queue| queue.name == source.queue).unwrap();
                let bounds = json!({"MaximumConcurrency": source.concurrency});
                let rest = json!({"BatchSize": source.batch_size, "ScalingConfig": bounds});
                mappings.push(mapping(function, queue.arn.clone(), &rest));
            }
            for source in &function.streams {
                let described = it.aws.dynamodb.describe_table().table_name(&source.table).send().await;
                let stream = described.unwrap().table.unwrap().latest_stream_arn.unwrap();
                let faults = template.queues.iter().find(|it| Some(&it.name) == source.on_failure.as_ref());
                let rest = json!({
                    "BatchSize": source.batch_size,
                    "ParallelizationFactor": source.parallelization,
                    "BisectBatchOnFunctionError": source.bisect,
                    "MaximumRecordAgeInSeconds": source.max_age,
                    "DestinationConfig": {"OnFailure": {"Destination": faults.unwrap().arn}},
                    "FilterCriteria": {"Filters": patterns(function)},
                });
                mappings.push(mapping(function, stream, &rest));
            }
            let name = name_of(function);
            let configuration = json!({
                "FunctionName": name,
                "Timeout": function.timeout,
                "LastUpdateStatus": "Successful",
                "Environment": {"Variables": function.environment},
            });
            let alias = json!({"Name": "live", "FunctionVersion": "7"});
            functions.push((name, configuration, alias, json!({})));
        }
        let account =
            json!({"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 999}});
        Self { mappings, functions, account }
    }

    /// The mapping of the function whose name begins so.
    fn mapping(&mut self, of: &str) -> &mut Value {
        let its = |mapping: &&mut Value| mapping["FunctionArn"].as_str().unwrap().contains(of);
        self.mappings.iter_mut().find(its).unwrap()
    }

    fn function(&mut self, of: &str) -> &mut (String, Value, Value, Value) {
        self.functions.iter_mut().find(|(name, ..)| name.contains(of)).unwrap()
    }

    fn routes(self) -> Router {
        const FUNCTION: &str = "/2015-03-31/functions/{name}";
        let found = |lambda: &Self, name: &str, part: fn(&(String, Value, Value, Value)) -> Value| {
            let found = lambda.functions.iter().find(|(its, ..)| its == name).map(part);
            found.filter(|it| !it.is_null()).map(Json).ok_or_else(|| {
                let missing = [("x-amzn-errortype", "ResourceNotFoundException")];
                (StatusCode::NOT_FOUND, missing, Json(json!({"Message": "there is none"})))
            })
        };
        let mappings = |State(it): State<Arc<Self>>, Query(asked): Query<HashMap<String, String>>| async move {
            let of =
                it.mappings.iter().filter(|mapping| mapping["EventSourceArn"] == asked["EventSourceArn"]);
            Json(json!({"EventSourceMappings": of.collect::<Vec<_>>()}))
        };
        let all = |State(it): State<Arc<Self>>| async move {
            let all: Vec<_> = it.functions.iter().map(|(_, configuration, ..)| configuration).collect();
            Json(json!({"Functions": all}))
        };
        let alias = move |State(it): State<Arc<Self>>, Path((name, _)): Path<(String, String)>| async move {
            found(&it, &name, |(_, _, alias, _)| alias.clone())
        };
        let configuration = move |State(it): State<Arc<Self>>, Path(name): Path<String>| async move {
            found(&it, &name, |(_, configuration, ..)| configuration.clone())
        };
        let concurrency = move |State(it): State<Arc<Self>>, Path(name): Path<String>| async move {
            found(&it, &name, |(.., reserved)| reserved.clone())
        };
        Router::new()
            .route("/2015-03-31/event-source-mappings", get(mappings))
            .route("/2015-03-31/functions", get(all))
            .route(&format!("{FUNCTION}/aliases/{{alias}}"), get(alias))
            .route(&format!("{FUNCTION}/configuration"), get(configuration))
            .route("/2019-09-30/functions/{name}/concurrency", get(concurrency))
            .route(
                "/2016-08-19/account-settings",
                get(async |State(it): State<Arc<Self>>| Json(it.account.clone())),
            )
            .with_state(Arc::new(self))
    }
}

/// What is found where Lambda has these functions, but for the clock, which stands still in tests.
async fn examined(it: &Deployment, lambda: Lambda) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = shutdown::channel();
    let routes = lambda.routes().fallback_service(it.app.engines().endpoint());
    tokio::spawn(server::serve(listener, routes, stopped));
    let file = tempfile::NamedTempFile::new().unwrap();
    let aws = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ];
    let own = it.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let lines: String = aws.into_iter().chain(own).map(|(name, value)| format!("{name}={value}\n")).collect();
    std::fs::write(file.path(), lines).unwrap();
    let mut found = services(&Target { local: None, config: Some(file.path().to_owned()) }).await.unwrap();
    found.clock = it.app.platform().clock().clone();
    let mut report = examine(&found).await.unwrap();
    report.findings.retain(|finding| finding.code != "clock_skew");
    drop(stop);
    report
}

#[tokio::test]
async fn what_leads_work_to_functions_and_what_holds_them_back_is_found() {
    let it = Deployment::start().await;
    let good = Lambda::of(&it).await;
    let report = examined(&it, good.clone()).await;
    assert!(report.findings.is_empty(), "{report}");
    assert!(report.not_checked.iter().all(|it| !it.what.contains("mapping")), "{report}");

    type Spoil = fn(&mut Lambda);
    let spoiled: [(&str, &str, Spoil); 19] = [
        ("mapping_disabled", "fanout", |it| it.mapping("Fanout")["State"] = "Disabled".into()),
        ("mapping_disabled", "deliver", |it| it.mapping("Deliver")["State"] = "Disabling".into()),
        ("mapping_missing", "seal", |it| {
            // As after a restore: the table has another stream by now.
            let stream =
                it.mapping("Seal")["EventSourceArn"].as_str().unwrap().replace("/stream/", "/stream/before-");
            it.mapping("Seal")["EventSourceArn"] = stream.into();
        }),
        ("mapping_failing", "fanout", |it| {
            it.mapping("Fanout")["LastProcessingResult"] = "PROBLEM: Function call failed".into();
        }),
        ("mapping_past_alias", "mail", |it| {
            let arn = it.mapping("Mail")["FunctionArn"].as_str().unwrap().replace(":live", "");
            it.mapping("Mail")["FunctionArn"] = arn.into();
        }),
        ("mapping_foreign", "deliver", |it| {
            let mut other = it.mapping("Deliver").clone();
            other["FunctionArn"] = "arn:aws:lambda:eu-central-1:000000000000:function:debug".into();
            it.mappings.push(other);
        }),
        ("mapping_different", "done", |it| it.mapping("Worker")["FunctionResponseTypes"] = json!([])),
        ("mapping_different", "batch size is 10, not 1", |it| it.mapping("Worker")["BatchSize"] = 10.into()),
        ("mapping_different", "maximum concurrency", |it| it.mapping("Mail")["ScalingConfig"] = json!({})),
        ("mapping_different", "faults queue", |it| {
            let elsewhere = "arn:aws:sqs:eu-central-1:000000000000:artisan-local-MailFaultsQueue";
            it.mapping("Fanout")["DestinationConfig"]["OnFailure"]["Destination"] = elsewhere.into();
        }),
        ("mapping_different", "other records", |it| it.mapping("Seal")["FilterCriteria"] = Value::Null),
        ("mapping_different", "split", |it| it.mapping("Seal")["BisectBatchOnFunctionError"] = false.into()),
        ("function_missing", "UsersFunction", |it| it.functions.retain(|(name, ..)| !name.contains("Users"))),
        ("function_stopped", "LeadsFunction", |it| {
            it.function("Leads").3 = json!({"ReservedConcurrentExecutions": 0});
        }),
        ("function_variables", "CORE_TABLE is other", |it| {
            it.function("Leads").1["Environment"]["Variables"]["CORE_TABLE"] = "other".into();
        }),
        ("function_timeout", "DeliverFunction", |it| it.function("Deliver").1["Timeout"] = 120.into()),
        ("alias_missing", "AuthFunction", |it| it.function("Auth").2 = Value::Null),
        ("alias_split", "10 %", |it| {
            it.function("Auth").2["RoutingConfig"] = json!({"AdditionalVersionWeights": {"8": 0.1}});
        }),
        ("concurrency_small", "10 functions", |it| {
            it.account["AccountLimit"]["UnreservedConcurrentExecutions"] = 10.into();
        }),
    ];
    for (code, told, spoil) in spoiled {
        let mut lambda = good.clone();
        spoil(&mut lambda);
        let report = examined(&it, lambda).await;
        let [finding] = report.findings.as_slice() else { panic!("{code}: {report}") };
        assert_eq!(finding.code, code, "{report}");
        assert!(format!("{} {}", finding.subject, finding.problem).contains(told), "{told}: {report}");
    }
}

/// Lambda alone puts messages there, so no function's variable names it.
#[tokio::test]
async fn records_that_were_not_sealed_are_found() {
    let it = Deployment::start().await;
    let url = it.aws.sqs.get_queue_url().queue_name("artisan-local-SealFaultsQueue").send().await.unwrap();
    let send = it.aws.sqs.send_message().queue_url(url.queue_url.unwrap());
    send.message_body("{}").send().await.unwrap();
    let report = examined(&it, Lambda::of(&it).await).await;
    let [finding] = report.findings.as_slice() else { panic!("{report}") };
    assert_eq!((finding.code, finding.subject.contains("SealFaults")), ("faults_waiting", true), "{report}");
    it.app.leaves_jobs();
}

#[tokio::test]
async fn whether_people_reach_it_is_found() {
    let mut it = Deployment::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = shutdown::channel();
    let health = async |Path(answer): Path<String>| match answer.as_str() {
        "well" => json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}).to_string(),
        "down" => json!({"status": "down", "version": env!("CARGO_PKG_VERSION")}).to_string(),
        "older" => json!({"status": "ok", "version": "0.0.1"}).to_string(),
        _ => "<html>somebody else's</html>".to_owned(),
    };
    tokio::spawn(server::serve(listener, Router::new().route("/{answer}/health", get(health)), stopped));
    for (answer, expected) in [
        ("well", None),
        ("down", Some("health_down")),
        ("older", Some("version_different")),
        ("elsewhere", Some("public_url_elsewhere")),
    ] {
        it.variables.insert("PUBLIC_URL".to_owned(), format!("{url}/{answer}"));
        let report = it.examined().await;
        let found: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{answer}: {report}");
    }
    it.variables.insert("PUBLIC_URL".to_owned(), "http://127.0.0.1:1".to_owned());
    assert_eq!(it.examined().await.findings[0].code, "public_url_elsewhere");
    drop(stop);
}
