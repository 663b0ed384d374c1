//! Lambda, as far as functions use it: `Invoke`, of the hosted functions that answer HTTP.
//!
//! Promises what Lambda promises: the payload becomes a request, and the response a payload, by the code that does it
//! there (`lambda_http`); a function that panics, takes too long or answers too much is an answer that says so in
//! `X-Amz-Function-Error`. Refuses what it has no counterpart for: asynchronous calls, functions that answer no HTTP. Never
//! looks into a payload, and so believes the address in it: only who may invoke a function may say whom a request is from.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use clock::Clock;
use futures::FutureExt as _;
use http::{HeaderValue, Request, Response, header};
use lambda_http::lambda_runtime::Diagnostic;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent, Service as _};
use serde_json::json;
use uuid::Uuid;

use super::Answer;
use crate::registry::Hosted;
use crate::template::{ACCOUNT, REGION, Template, function_arn};

/// The operation's name, for faults and counters.
pub(super) const INVOKE: &str = "Invoke";
/// Where functions are: the version is that of Lambda's API.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
const FUNCTIONS: &str = "/2015-03-31/functions/";
const INVOCATIONS: &str = "/invocations";
/// What the scope of a signature for Lambda ends in.
const SCOPE: &str = "/lambda/aws4_request";

/// Lambda's limits on a payload, one way and the other.
const MAX_REQUEST: usize = 6 * 1024 * 1024;
const MAX_RESPONSE: usize = MAX_REQUEST + 100;

/// The version that is not published. The local platform has no other one.
const LATEST: &str = "$LATEST";

const FUNCTION_ERROR: &str = "x-amz-function-error";

/// The functions that can be invoked, by name.
pub(crate) struct Functions {
    clock: Clock,
    by_name: BTreeMap<String, Function>,
}

struct Function {
    /// None of a function that answers no HTTP.
    router: Option<Router>,
    alias: Option<String>,
    timeout: Duration,
}

impl Functions {
    /// The functions of a template as they are hosted.
    pub(crate) fn new(template: &Template, hosted: &[Hosted], clock: &Clock) -> Self {
        let functions = template.functions.iter().zip(hosted).map(|(declared, hosted)| {
            let router = match hosted {
                Hosted::Http(router) => Some(router.clone()),
                Hosted::Queue(_) | Hosted::Stream(_) | Hosted::Schedule(_) => None,
            };
            let timeout = Duration::from_secs(declared.timeout.into());
            (declared.name.clone(), Function { router, alias: declared.alias.clone(), timeout })
        });
        Self { clock: clock.clone(), by_name: functions.collect() }
    }
}

/// Why a call is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The caller's role does not allow it.
    pub(super) fn denied(why: String) -> Self {
        Self::new(403, "AccessDeniedException", why)
    }

    pub(super) fn reply(self) -> Response<Bytes> {
        let body = json!({"Type": "User", "Message": self.message}).to_string();
        let mut reply = reply(self.status, body.into());
        reply.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(self.code));
        reply
    }
}

/// A call of `Invoke`.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) function: String,
    qualifier: Option<String>,
    is_dry: bool,
    pub(super) payload: Bytes,
}

/// Whether a path is one of Lambda's.
pub(super) fn is_path(path: &str) -> bool {
    path.starts_with(FUNCTIONS) || Some(path) == FUNCTIONS.strip_suffix('/')
}

/// Whether an `Authorization` header signs for Lambda.
pub(super) fn is_signed_for(authorization: &str) -> bool {
    super::is_signed(authorization, SCOPE)
}

impl Invocation {
    pub(super) fn read(request: Request<Bytes>) -> Result<Self, Refusal> {
        let (parts, payload) = request.into_parts();
        let path = parts.uri.path();
        let name = path.strip_prefix(FUNCTIONS).and_then(|rest| rest.strip_suffix(INVOCATIONS));
        let name = name.filter(|name| parts.method == http::Method::POST && !name.contains('/'));
        let Some(name) = name.and_then(decoded) else {
            let message = "Of Lambda, the local platform answers Invoke alone.";
            return Err(Refusal::new(404, "UnknownOperationException", message));
        };
        let (function, in_name) = named(&name);
        let asked = parts.uri.query().unwrap_or_default().split('&');
        let beside = asked.filter_map(|pair| decoded(pair.strip_prefix("Qualifier=")?)).next();
        let qualifier = match (in_name, beside) {
            (Some(one), Some(other)) if one != other => {
                let message = "The function's name has one qualifier, and the request another one.";
                return Err(Refusal::new(400, "InvalidParameterValueException", message));
            }
            (one, other) => one.or(other),
        };
        let kind = parts.headers.get("x-amz-invocation-type").map(HeaderValue::as_bytes);
        let is_dry = match kind {
            None | Some(b"RequestResponse") => false,
            Some(b"DryRun") => true,
            Some(_) => {
                let message = "The local platform invokes functions by RequestResponse and DryRun alone.";
                return Err(Refusal::new(400, "InvalidParameterValueException", message));
            }
        };
        Ok(Self { function, qualifier, is_dry, payload })
    }

    /// What is invoked, as policies name it.
    pub(super) fn arn(&self) -> String {
        function_arn(&self.function, self.qualifier.as_deref())
    }

    /// Carries the call out; where there are no functions, none is found.
    pub(super) async fn answer(self, functions: Option<&Functions>) -> Response<Bytes> {
        match self.carry_out(functions).await {
            Ok(reply) => reply,
            Err(refused) => refused.reply(),
        }
    }

    async fn carry_out(&self, functions: Option<&Functions>) -> Result<Response<Bytes>, Refusal> {
        if self.payload.len() > MAX_REQUEST {
            let message =
                format!("Request must be smaller than {MAX_REQUEST} bytes for the InvokeFunction operation");
            return Err(Refusal::new(413, "RequestTooLargeException", message));
        }
        let found = functions.and_then(|them| Some((them, them.by_name.get(&self.function)?)));
        let found = found.filter(|(_, function)| function.has(self.qualifier.as_deref()));
        let Some((functions, function)) = found else {
            let message = format!("Function not found: {}", self.arn());
            return Err(Refusal::new(404, "ResourceNotFoundException", message));
        };
        let Some(router) = &function.router else {
            let message =
                format!("{} answers no HTTP; the local platform invokes no such functions.", self.function);
            return Err(Refusal::new(400, "InvalidParameterValueException", message));
        };
        // As with Lambda, a function that is sent nothing is sent an empty object.
        let payload: &[u8] = if self.payload.is_empty() { b"{}" } else { &self.payload };
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(payload) {
            let message = format!("Could not parse request body into json: {error}");
            return Err(Refusal::new(400, "InvalidRequestContentException", message));
        }
        if self.is_dry {
            return Ok(reply(204, Bytes::new()));
        }
        let id = Uuid::new_v4().to_string();
        let mut context = Context::default();
        context.request_id.clone_from(&id);
        context.invoked_function_arn = self.arn();
        let ends = functions.clock.now().millis().saturating_add_unsigned(millis(function.timeout));
        context.deadline = u64::try_from(ends).unwrap_or_default();
        let answered = run(router, payload, context, function.timeout).await;
        let (body, failed) = match answered {
            Ok(body) => (body, false),
            Err(diagnostic) => {
                tracing::error!(
                    function = self.function,
                    error = diagnostic.error_message,
                    "an invocation failed"
                );
                let told =
                    json!({"errorType": diagnostic.error_type, "errorMessage": diagnostic.error_message});
                (told.to_string().into(), true)
            }
        };
        let mut reply = reply(200, body);
        let headers = reply.headers_mut();
        headers.insert("x-amz-executed-version", HeaderValue::from_static(LATEST));
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert("x-amzn-requestid", id);
        }
        if failed {
            headers.insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
        }
        Ok(reply)
    }
}

impl Function {
    fn has(&self, qualifier: Option<&str>) -> bool {
        qualifier.is_none_or(|qualifier| qualifier == LATEST || self.alias.as_deref() == Some(qualifier))
    }
}

/// One invocation, or how the function failed.
async fn run(
    router: &Router,
    payload: &[u8],
    context: Context,
    timeout: Duration,
) -> Result<Bytes, Diagnostic> {
    let request: LambdaRequest = serde_json::from_slice(payload).map_err(|error| Diagnostic {
        error_type: "DeserializeError".to_owned(),
        error_message: error.to_string(),
    })?;
    let id = context.request_id.clone();
    // A router is always ready.
    let answer = Adapter::from(router.clone()).call(LambdaEvent::new(request, context));
    let answer = match AssertUnwindSafe(tokio::time::timeout(timeout, answer)).catch_unwind().await {
        Ok(Ok(Ok(answer))) => answer,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(_)) => {
            let seconds = timeout.as_secs_f64();
            return Err(Diagnostic {
                error_type: "Sandbox.Timedout".to_owned(),
                error_message: format!("RequestId: {id} Error: Task timed out after {seconds:.2} seconds"),
            });
        }
        Err(panic) => {
            let said = panic.downcast_ref::<&str>().copied();
            let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            return Err(Diagnostic {
                error_type: "Panic".to_owned(),
                error_message: format!("Lambda panicked: {}", said.unwrap_or("without a word")),
            });
        }
    };
    let body = serde_json::to_vec(&answer).map_err(|error| error.to_string())?;
    if body.len() > MAX_RESPONSE {
        return Err(Diagnostic {
            error_type: "Function.ResponseSizeTooLarge".to_owned(),
            error_message: format!(
                "Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE} bytes)."
            ),
        });
    }
    Ok(body.into())
}

/// The answer that a fault was ordered with.
pub(super) fn ordered(answer: Answer) -> Response<Bytes> {
    reply(answer.status, answer.body)
}

fn reply(status: u16, body: Bytes) -> Response<Bytes> {
    let mut reply = Response::new(body);
    *reply.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// The name and the qualifier in `name`, `name:qualifier`, or an ARN of which the beginning may be missing.
fn named(text: &str) -> (String, Option<String>) {
    let rest = ["arn:aws:lambda", REGION, ACCOUNT, "function"].into_iter().fold(text, |rest, part| {
        rest.strip_prefix(part).and_then(|rest| rest.strip_prefix(':')).unwrap_or(rest)
    });
    match rest.split_once(':') {
        Some((name, qualifier)) => (name.to_owned(), Some(qualifier.to_owned())),
        None => (rest.to_owned(), None),
    }
}

/// A part of a URI without its percent-encoding; `None` where that is broken.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend_from_slice(pieces.next()?.as_bytes());
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_in_all_the_ways_lambda_takes() {
        let whole = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:web:live");
        let partial = format!("{ACCOUNT}:function:web");
        assert_eq!(named(&whole), ("web".to_owned(), Some("live".to_owned())));
        assert_eq!(named(&partial), ("web".to_owned(), None));
        assert_eq!(named("web"), ("web".to_owned(), None));
        assert_eq!(named("web:$LATEST"), ("web".to_owned(), Some("$LATEST".to_owned())));
        // Another account's function is none of ours.
        assert_eq!(named("arn:aws:lambda:eu-central-1:999999999999:function:web").0, "999999999999");
    }

    #[test]
    fn percent_encoding_is_undone_or_refused() {
        assert_eq!(decoded("a%3Ab%24c").as_deref(), Some("a:b$c"));
        for broken in ["%", "a%3", "%zz", "%ff", "%+1"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }

    #[test]
    fn signatures_for_other_services_are_none_for_lambda() {
        let signed = |service: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=x/20260101/eu-central-1/{service}/aws4_request, \
                 SignedHeaders=host, Signature=0"
            )
        };
        assert!(is_signed_for(&signed("lambda")));
        assert!(!is_signed_for(&signed("s3")) && !is_signed_for("Bearer x"));
    }
}
