//! Functions called by Lambda's Invoke: in this process, as functions call each other, and through the port, as others do.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what cannot go on fails the test"
)]

use std::sync::Arc;
use std::time::Duration;

use artisan_local::engines::Strike;
use artisan_local::registry::Registry;
use artisan_local::{Data, Options, Platform, server, shutdown};
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::operation::invoke::InvokeOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use axum::Router;
use axum::routing::{get, post};
use runtime::{Services, StartError};
use serde_json::{Value, json};
use testkit::TestApp;

/// What API Gateway makes of a request.
fn event(method: &str, path: &str, token: &str, body: Option<&Value>) -> Blob {
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "authorization": format!("Bearer {token}"),
            "content-type": "application/json",
            "host": "artisan.example",
            "user-agent": "a browser",
            "x-forwarded-for": "198.51.100.99",
        },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": "artisan.example",
            "domainPrefix": "artisan",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.77",
                "userAgent": "a browser",
            },
            "requestId": "request-1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "22/Nov/2026:15:04:05 +0000",
            "timeEpoch": 1_795_359_845_123_i64,
        },
        "isBase64Encoded": false,
    });
    if let Some(body) = body {
        event["body"] = body.to_string().into();
    }
    Blob::new(event.to_string())
}

fn told(output: &InvokeOutput) -> Value {
    serde_json::from_slice(output.payload().unwrap().as_ref()).unwrap()
}

/// Clients of a platform: the one that functions have, and one that comes by the port.
struct Clients {
    both: [Client; 2],
    stop: shutdown::Trigger,
    served: tokio::task::JoinHandle<()>,
}

impl Clients {
    async fn of(platform: &Platform) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, until) = shutdown::channel();
        let served = tokio::spawn(server::serve(listener, platform.engines().endpoint(), until));
        let here = platform.engines().sdk_config().await;
        let outside = aws_config::SdkConfig::builder()
            .behavior_version(runtime::behavior())
            .region(here.region().cloned())
            .credentials_provider(here.credentials_provider().unwrap())
            .endpoint_url(url)
            .build();
        Self { both: [Client::new(&here), Client::new(&outside)], stop, served }
    }

    async fn stop(self) {
        drop(self.both);
        self.stop.request();
        self.served.await.unwrap();
    }
}

#[tokio::test]
async fn an_api_call_by_invoke_is_the_same_as_by_http() {
    let app = TestApp::start().await;
    let admin = app.sign_up("Invoked").await;
    let by_http = admin.get("/api/auth/me").await.expect(200);
    let workspace = admin.text("/workspaces/0/id");
    let variables = app.platform().variables();
    let clients = Clients::of(app.platform()).await;
    for (number, client) in clients.both.iter().enumerate() {
        app.engines().meter().reset();
        let function = &variables["AUTH_FUNCTION"];
        let me = event("GET", "/api/auth/me", admin.token(), None);
        let output = client.invoke().function_name(function).payload(me).send().await.unwrap();
        assert_eq!((output.status_code, output.function_error()), (200, None));
        let answer = told(&output);
        assert_eq!(answer["statusCode"], 200, "{answer}");
        assert!(answer["headers"]["x-request-id"].is_string(), "{answer}");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(&body, &by_http.json);
        let counted = app.engines().meter().snapshot();
        assert_eq!((counted.calls_of("Invoke"), counted.calls_on("artisan-local-AuthFunction")), (1, 1));

        // Whom a call is from is what the event says, and no header of it.
        let name = format!("Key {number}");
        let wish = json!({"name": name, "scopes": ["leads:read"], "workspace_id": workspace});
        let create = event("POST", "/api/admin/api-keys", admin.token(), Some(&wish));
        let function = &variables["API_KEYS_FUNCTION"];
        let output = client.invoke().function_name(function).payload(create).send().await.unwrap();
        let answer = told(&output);
        assert_eq!(answer["statusCode"], 201, "{answer}");
        let made: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        let id = made["id"].as_str().unwrap();
        let logs = admin.get(&format!("/api/admin/audit-logs?resource_id={id}")).await.expect(200);
        let record = &logs.json["data"][0];
        assert_eq!(record["action"], "api_key.create", "{record}");
        assert_eq!(record["ip_address"], "203.0.113.77", "{record}");
        assert_eq!(record["user_agent"], "a browser", "{record}");
    }
    clients.stop().await;
}

const TEMPLATE: &str = r#"
Globals: { Function: { Timeout: 1, AutoPublishAlias: live } }
Resources:
  Jobs: { Type: AWS::SQS::Queue }
  Web:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: web } }
    Properties: { Events: { All: { Type: HttpApi, Properties: { Path: $default, Method: ANY } } } }
  Other:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: web } }
    Properties: { AutoPublishAlias: now }
  Work:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: work } }
    Properties: { Events: { Jobs: { Type: SQS, Properties: { Queue: !GetAtt Jobs.Arn } } } }
  Role:
    Type: AWS::IAM::Role
    Properties:
      Policies:
        - PolicyName: caller
          PolicyDocument:
            Statement: [{ Sid: Call, Effect: Allow, Action: lambda:InvokeFunction, Resource: !Ref Web.Alias }]
  Caller:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: caller } }
    Properties:
      Role: !GetAtt Role.Arn
      Environment: { Variables: { WEB: !Ref Web.Alias, OTHER: !Ref Other.Alias } }
      Events: { All: { Type: HttpApi, Properties: { Path: "/call/{name}", Method: POST } } }
"#;

/// Calls the function that its variable of this name names, and says what became of it.
async fn caller(services: Services) -> Result<Router, StartError> {
    let services = Arc::new(services);
    let call = async move |axum::extract::Path(name): axum::extract::Path<String>| {
        let function = services.environment.optional(&name).unwrap().to_owned();
        let client = Client::new(&services.aws.config);
        match client.invoke().function_name(function).payload(event("GET", "/", "", None)).send().await {
            Ok(output) => told(&output)["body"].as_str().unwrap().to_owned(),
            Err(error) => error.code().unwrap().to_owned(),
        }
    };
    Ok(Router::new().route("/call/{name}", post(call)))
}

async fn web(_: Services) -> Result<Router, StartError> {
    Ok(Router::new()
        .route("/", get(async || "here"))
        .route("/panics", get(async || -> String { panic!("a bug") }))
        .route("/hangs", get(std::future::pending::<()>))
        .route("/large", get(async || "x".repeat(7 * 1024 * 1024))))
}

async fn small() -> (Platform, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("template.yaml");
    std::fs::write(&path, TEMPLATE).unwrap();
    let registry = Registry::empty()
        .http("web", web)
        .http("caller", caller)
        .queue("work", async |_| Ok::<_, StartError>(async |_: SqsEvent| SqsBatchResponse::default()));
    let options = Options { data: Data::Memory, registry, permissions: true, ..Options::new(path) };
    (Platform::start(options).await.unwrap(), directory)
}

#[tokio::test]
async fn functions_are_named_as_lambda_has_them() {
    let (platform, _directory) = small().await;
    let clients = Clients::of(&platform).await;
    for client in &clients.both {
        for name in [
            "artisan-local-Web",
            "artisan-local-Web:live",
            "artisan-local-Web:$LATEST",
            "000000000000:function:artisan-local-Web",
            "arn:aws:lambda:eu-central-1:000000000000:function:artisan-local-Web:live",
            "artisan-local-Other:now",
        ] {
            let call = client.invoke().function_name(name).payload(event("GET", "/", "", None));
            let output = call.send().await.unwrap();
            assert_eq!(told(&output)["body"], "here", "{name}");
            assert_eq!(output.executed_version(), Some("$LATEST"), "{name}");
        }
        for name in [
            "artisan-local-Nowhere",
            "artisan-local-Web:now",
            "artisan-local-Other:live",
            "artisan-local-Web:1",
            "arn:aws:lambda:eu-central-1:999999999999:function:artisan-local-Web",
        ] {
            let call = client.invoke().function_name(name).payload(event("GET", "/", "", None));
            let error = call.send().await.unwrap_err().into_service_error();
            assert!(error.is_resource_not_found_exception(), "{name}: {error:?}");
        }
        let call = client.invoke().function_name("artisan-local-Web").qualifier("live");
        let output = call.payload(event("GET", "/", "", None)).send().await.unwrap();
        assert_eq!(told(&output)["body"], "here");
        let call = client.invoke().function_name("artisan-local-Web:live").qualifier("$LATEST");
        assert_eq!(call.send().await.unwrap_err().code(), Some("InvalidParameterValueException"));
    }
    clients.stop().await;
}

#[tokio::test]
async fn a_function_that_fails_is_an_answer_that_says_so() {
    let (platform, _directory) = small().await;
    let clients = Clients::of(&platform).await;
    for client in &clients.both {
        for (path, kind, message) in [
            ("/panics", "Panic", "Lambda panicked: a bug"),
            ("/hangs", "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
            ("/large", "Function.ResponseSizeTooLarge", "exceeded maximum allowed payload size"),
        ] {
            let call = client.invoke().function_name("artisan-local-Web");
            let output = call.payload(event("GET", path, "", None)).send().await.unwrap();
            let answer = told(&output);
            assert_eq!((output.status_code, output.function_error()), (200, Some("Unhandled")), "{path}");
            assert_eq!(answer["errorType"], kind, "{answer}");
            assert!(answer["errorMessage"].as_str().unwrap().contains(message), "{answer}");
        }
        // What is no event of API Gateway's is a failure of the function, which can't read it.
        let call = client.invoke().function_name("artisan-local-Web").payload(Blob::new("{}"));
        let output = call.send().await.unwrap();
        assert_eq!(output.function_error(), Some("Unhandled"));
        assert_eq!(told(&output)["errorType"], "DeserializeError");
    }
    clients.stop().await;
}

#[tokio::test]
async fn calls_that_lambda_or_the_platform_does_not_take_are_refused() {
    let (platform, _directory) = small().await;
    let clients = Clients::of(&platform).await;
    for client in &clients.both {
        let web = || client.invoke().function_name("artisan-local-Web");
        let large = web().payload(event("POST", "/", "", Some(&json!("x".repeat(6 * 1024 * 1024)))));
        let error = large.send().await.unwrap_err().into_service_error();
        assert!(error.is_request_too_large_exception(), "{error:?}");
        let error = web().payload(Blob::new("{")).send().await.unwrap_err().into_service_error();
        assert!(error.is_invalid_request_content_exception(), "{error:?}");
        let later = web().invocation_type(InvocationType::Event).payload(event("GET", "/", "", None));
        let error = later.send().await.unwrap_err().into_service_error();
        assert!(error.is_invalid_parameter_value_exception(), "{error:?}");
        let batches = client.invoke().function_name("artisan-local-Work").payload(Blob::new("{}"));
        let error = batches.send().await.unwrap_err().into_service_error();
        assert!(error.is_invalid_parameter_value_exception(), "{error:?}");
        assert!(error.message().unwrap().contains("answers no HTTP"), "{error:?}");
        // One that would hang is not called.
        let dry = web().invocation_type(InvocationType::DryRun).payload(event("GET", "/hangs", "", None));
        assert_eq!(dry.send().await.unwrap().status_code, 204);
        assert_eq!(
            client.list_functions().send().await.unwrap_err().code(),
            Some("UnknownOperationException")
        );
    }
    clients.stop().await;
}

#[tokio::test]
async fn a_role_allows_the_functions_it_names() {
    use tower::ServiceExt as _;
    let (platform, _directory) = small().await;
    let call = async |name: &str| {
        let request = http::Request::post(format!("/call/{name}")).body(axum::body::Body::empty()).unwrap();
        let answer = platform.router().oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    };
    assert_eq!(call("WEB").await, "here");
    assert!(platform.engines().ledger().refused().is_empty());
    let used = platform.engines().ledger().used();
    let [used] = used.as_slice() else { panic!("{used:?}") };
    assert_eq!((used.policy.as_str(), used.sid.as_str()), ("caller", "Call"));
    assert_eq!(used.action, "lambda:InvokeFunction");
    assert_eq!(used.resource, "arn:aws:lambda:eu-central-1:000000000000:function:artisan-local-Web:live");
    assert_eq!(platform.engines().meter().snapshot().calls_of("Invoke"), 1);

    assert_eq!(call("OTHER").await, "AccessDeniedException");
    assert_eq!(platform.engines().ledger().refused().len(), 1);
    assert_eq!(platform.engines().meter().snapshot().calls_of("Invoke"), 1, "it was not called");
}

#[tokio::test]
async fn faults_strike_invocations_too() {
    let (platform, _directory) = small().await;
    let client = Client::new(&platform.engines().sdk_config().await);
    let call = || client.invoke().function_name("artisan-local-Web").payload(event("GET", "/", "", None));
    let refused = r#"{"__type":"InvalidRequestContentException","Message":"no"}"#;
    for strike in [Strike::Before, Strike::After] {
        platform.engines().faults().order("Invoke", 0, 1, strike, 400, refused);
        assert_eq!(call().send().await.unwrap_err().code(), Some("InvalidRequestContentException"));
        assert_eq!(told(&call().send().await.unwrap())["body"], "here");
    }
}

/// The engines do not keep functions alive that keep the engines.
#[tokio::test]
async fn with_the_platform_its_functions_are_gone() {
    let (platform, _directory) = small().await;
    let client = Client::new(&platform.engines().sdk_config().await);
    drop(platform);
    let call = client.invoke().function_name("artisan-local-Web").payload(event("GET", "/", "", None));
    let error = tokio::time::timeout(Duration::from_secs(60), call.send()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
}
