//! Asking the API.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use aws_sdk_lambda::Config;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::Clock;
use edge::RequestInfo;
pub(crate) use http::Method;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use runtime::{Services, StartError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failure::{Failure, Ours, Problem};
use super::functions::Functions;

/// How long a function may take. The console's own time limit, in the template, is a little longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(18);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// The functions behind the API. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

struct Shared {
    lambda: aws_sdk_lambda::Client,
    functions: Functions,
    clock: Clock,
}

/// The API as somebody may use it: everything that is asked carries who asks, and from where.
#[derive(Clone)]
pub(crate) struct Caller {
    api: Api,
    info: RequestInfo,
    access_token: Option<Arc<str>>,
}

/// What to ask for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(HeaderName, String)>,
    body: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) cookies: Vec<String>,
    pub(crate) body: Vec<u8>,
    path: String,
}

impl Request {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), headers: Vec::new(), body: None }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// With a parameter; an empty one is left out, as a form sends what was not filled in.
    pub(crate) fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let value = value.as_ref();
        if !value.is_empty() {
            self.query.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// With a parameter, if there is one.
    pub(crate) fn maybe(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a JSON body.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        // What the console sends has names for keys and no number that JSON has not; an empty body is refused by the API.
        self.body = Some(serde_json::to_string(body).unwrap_or_default());
        self
    }

    /// In a workspace, which the developer API needs to know.
    pub(crate) fn within(self, workspace: &str) -> Self {
        self.header(HeaderName::from_static("x-workspace-id"), workspace)
    }

    /// Once: sent again it is not done again, and gets the same answer.
    pub(crate) fn once(self, key: &str) -> Self {
        self.header(HeaderName::from_static("idempotency-key"), key)
    }

    fn raw_query(&self) -> String {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(&self.query);
        text.finish()
    }
}

impl Api {
    /// From the variables that name the functions, such as `AUTH_FUNCTION`.
    pub(crate) fn start(services: &Services) -> Result<Self, StartError> {
        // A function answers when it is done, which takes longer than a look into a table.
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_WITHIN).operation_attempt_timeout(ANSWER_WITHIN);
        let timeouts = timeouts.operation_timeout(ANSWER_WITHIN).build();
        let config = Builder::from(&services.aws.config).timeout_config(timeouts).build();
        Ok(Self(Arc::new(Shared {
            lambda: aws_sdk_lambda::Client::from_conf(config),
            functions: Functions::of(&services.environment)?,
            clock: services.clock.clone(),
        })))
    }

    /// For a visitor of whom nothing is known but where they are.
    pub(crate) fn for_anyone(&self, info: &RequestInfo) -> Caller {
        Caller { api: self.clone(), info: info.clone(), access_token: None }
    }
}

impl Caller {
    /// The same visitor, signed in.
    pub(crate) fn with_token(&self, access_token: &str) -> Self {
        Self { access_token: Some(access_token.into()), ..self.clone() }
    }

    /// Asks, and reads the answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, Failure> {
        self.send(request).await?.read()
    }

    /// Asks for a page of something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: impl Into<String>) -> Result<T, Failure> {
        self.ask(Request::get(path)).await
    }

    /// Asks for something to be done that has no answer to read.
    pub(crate) async fn tell(&self, request: Request) -> Result<(), Failure> {
        self.send(request).await.map(drop)
    }

    /// Asks. An answer that is a problem is an error.
    pub(crate) async fn send(&self, request: Request) -> Result<Asked, Failure> {
        // A condition that cannot be sent is not left out: what depends on it would be done without.
        if request.headers.iter().any(|(_, value)| HeaderValue::from_str(value).is_err()) {
            return Err(Ours::Malformed.into());
        }
        let no_answer = |cause: String| Failure::NoAnswer { path: request.path.clone(), cause };
        let Shared { lambda, functions, .. } = &*self.api.0;
        let function =
            functions.behind(&request.path).ok_or_else(|| no_answer("nothing answers it".to_owned()))?;
        let event =
            serde_json::to_vec(&self.event(&request)).map_err(|error| no_answer(error.to_string()))?;
        let call = lambda.invoke().function_name(function).payload(Blob::new(event)).customize();
        // A change whose answer was lost may have been made: it is never asked for again by itself.
        let call = match request.method {
            Method::GET => call,
            _ => call.config_override(Config::builder().retry_config(RetryConfig::disabled())),
        };
        let answer = call.send().await;
        let answer = answer.map_err(|error| no_answer(telemetry::chain(&error)))?;
        if let Some(error) = answer.function_error {
            return Err(no_answer(error));
        }
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        let response: ApiGatewayV2httpResponse =
            serde_json::from_slice(&payload).map_err(|error| no_answer(error.to_string()))?;
        Asked::of(request.path, response)?.check()
    }

    /// The event that API Gateway would send (payload format 2.0).
    fn event(&self, request: &Request) -> ApiGatewayV2httpRequest {
        let mut event = ApiGatewayV2httpRequest::default();
        let query = request.raw_query();
        event.version = Some("2.0".to_owned());
        event.route_key = Some("$default".to_owned());
        event.raw_path = Some(request.path.clone());
        event.raw_query_string = Some(query);
        event.headers = self.headers(request);
        event.body = request.body.clone();
        let context = &mut event.request_context;
        let now = self.api.0.clock.now();
        context.route_key = Some("$default".to_owned());
        context.stage = Some("$default".to_owned());
        context.request_id = self.info.gateway_id.clone();
        context.time = Some(now.to_string());
        context.time_epoch = now.millis();
        context.http.method = request.method.clone();
        context.http.path = Some(request.path.clone());
        context.http.protocol = Some("HTTP/1.1".to_owned());
        context.http.source_ip = Some(self.info.ip.to_string());
        context.http.user_agent = self.info.user_agent.clone();
        event
    }

    fn headers(&self, request: &Request) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            // What comes from the browser's own headers can be held by ours.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(header::ACCEPT, "application/json");
        set(HeaderName::from_static("x-request-id"), &self.info.id);
        if let Some(agent) = &self.info.user_agent {
            set(header::USER_AGENT, agent);
        }
        if let Some(token) = &self.access_token {
            set(header::AUTHORIZATION, &format!("Bearer {token}"));
        }
        if let Some(body) = &request.body {
            set(header::CONTENT_TYPE, "application/json");
            set(header::CONTENT_LENGTH, &body.len().to_string());
        }
        for (name, value) in &request.headers {
            set(name.clone(), value);
        }
        headers
    }
}

impl Asked {
    fn of(path: String, response: ApiGatewayV2httpResponse) -> Result<Self, Failure> {
        let body = match response.body {
            None | Some(Body::Empty) => Vec::new(),
            Some(Body::Binary(body)) => body,
            Some(Body::Text(text)) if response.is_base64_encoded => STANDARD
                .decode(text)
                .map_err(|error| Failure::NoAnswer { path: path.clone(), cause: error.to_string() })?,
            Some(Body::Text(text)) => text.into_bytes(),
            Some(_) => {
                return Err(Failure::NoAnswer { path, cause: "the body is of an unknown form".to_owned() });
            }
        };
        let status = u16::try_from(response.status_code).unwrap_or(502);
        Ok(Self { status, headers: response.headers, cookies: response.cookies, body, path })
    }

    /// The answer, unless it is a problem.
    fn check(self) -> Result<Self, Failure> {
        if self.status < 400 {
            return Ok(self);
        }
        let mut problem: Problem = serde_json::from_slice(&self.body).unwrap_or_else(|_| Problem {
            title: "The API failed".to_owned(),
            detail: "It gave no reason.".to_owned(),
            ..Problem::default()
        });
        problem.status = self.status;
        problem.retry_after = self.header("retry-after").and_then(|wait| wait.parse().ok());
        Err(Failure::Refused(Box::new(problem)))
    }

    /// A header of the answer.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The answer's body.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|source| Failure::Unreadable { path: self.path.clone(), source: Arc::new(source) })
    }
}
