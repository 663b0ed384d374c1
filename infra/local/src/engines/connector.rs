//! The AWS SDK spoken to in process: the same client, the same bytes, no socket.

use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures::TryStreamExt as _;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::iam::Role;
use super::s3::{self, Content};
use super::{Answer, Engines, lambda};
use crate::template::REGION;

const IDENTITY: &str = "local";
/// How long a DynamoDB elsewhere is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

impl Engines {
    /// Configuration for SDK clients that reach these engines without a socket. Retries are those of deployed
    /// functions, and so are time limits, unless tables are kept elsewhere.
    pub async fn sdk_config(&self) -> SdkConfig {
        let config = runtime::shared_settings(self.unread_profile()).load().await;
        if self.dynamodb().keeps_time() {
            return config;
        }
        // An emulator that shares the processors with those who ask it answers late without being out of order.
        let patient = TimeoutConfig::builder().operation_timeout(PATIENCE).build();
        config.to_builder().timeout_config(patient).build()
    }

    /// The same configuration for a function that may do what its role allows, and nothing else.
    pub(crate) fn sdk_config_of(&self, role: Role, shared: &SdkConfig) -> SdkConfig {
        let role = Some(Arc::new(role));
        shared.to_builder().http_client(Reached { engines: self.clone(), role }).build()
    }

    /// Nothing of the machine's own AWS configuration may leak in: every setting is given, no profile is read.
    #[expect(deprecated, reason = "the type's new home is a crate that nothing else here needs")]
    fn unread_profile(&self) -> ConfigLoader {
        use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
        let empty = ProfileFiles::builder().with_contents(ProfileFileKind::Config, "").build();
        aws_config::defaults(runtime::behavior())
            .profile_files(empty)
            .region(Region::from_static(REGION))
            .endpoint_url(self.0.address.as_str())
            .credentials_provider(Credentials::new(IDENTITY, IDENTITY, None, None, IDENTITY))
            .http_client(Reached { engines: self.clone(), role: None })
    }
}

/// The engines as one function reaches them.
#[derive(Debug, Clone)]
struct Reached {
    engines: Engines,
    /// What it may do; everything without one.
    role: Option<Arc<Role>>,
}

impl HttpClient for Reached {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Reached {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { engines, role } = self.clone();
        HttpConnectorFuture::new(async move {
            let role = role.as_deref();
            if s3::is_signed_for(request.headers().get("authorization").unwrap_or_default()) {
                return object_store(&engines, role, request).await;
            }
            // All other services here are sent complete bodies.
            let body = request.body().bytes().map(Bytes::copy_from_slice).unwrap_or_default();
            let path =
                request.uri().parse::<http::Uri>().map(|uri| uri.path().to_owned()).unwrap_or_default();
            if lambda::is_path(&path) {
                let call = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
                let reply = engines.dispatch_lambda_as(role, call.map(|_| body)).await;
                let reply = HttpResponse::try_from(reply.map(SdkBody::from));
                return reply.map_err(|error| ConnectorError::other(error.into(), None));
            }
            let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
            let refused = role.and_then(|role| match target.as_str() {
                "" => role.judge_mail(&body, engines.ledger()),
                target => role.judge(target, &body, engines.ledger()),
            });
            if let Some(why) = refused {
                return response(forbidden(&why));
            }
            if let Some(answer) = engines.dispatch_rest(request.method(), &path, &body) {
                return response(answer);
            }
            response(engines.dispatch(&target, body).await)
        })
    }
}

fn forbidden(why: &str) -> Answer {
    let body =
        serde_json::json!({"__type": "com.amazon.coral.service#AccessDeniedException", "message": why});
    Answer { status: 400, content_type: "application/x-amz-json-1.0", body: body.to_string().into() }
}

async fn object_store(
    engines: &Engines,
    role: Option<&Role>,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    let body = match body.bytes() {
        Some(complete) => Bytes::copy_from_slice(complete),
        None => body.collect().await.map_err(ConnectorError::user)?.to_bytes(),
    };
    let call = s3::Call {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
    };
    let reply = engines.dispatch_s3_as(role, call).await;
    let body = match reply.content {
        Content::Bytes(bytes) => SdkBody::from(bytes),
        Content::File { file, length } => {
            SdkBody::from_body_1_x(StreamBody::new(s3::chunks(file, length).map_ok(Frame::data)))
        }
    };
    let status =
        StatusCode::try_from(reply.status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, body);
    for (name, value) in &reply.headers {
        let value = value.to_str().map_err(|error| ConnectorError::other(error.into(), None))?;
        response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
    }
    Ok(response)
}

fn response(answer: Answer) -> Result<HttpResponse, ConnectorError> {
    let status =
        StatusCode::try_from(answer.status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    response.headers_mut().insert("content-type", answer.content_type);
    Ok(response)
}
