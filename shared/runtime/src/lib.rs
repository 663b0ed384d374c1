//! What a function is given at start: its environment variables, AWS clients, a clock and a source of ids.
//!
//! Everything a function knows about where it runs comes through [`Services`]; there is no other way to reach
//! AWS or the environment. A function deployed to Lambda, one under `cargo lambda watch` and one hosted by the
//! local platform differ only in how their `Services` were made.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use clock::Clock;
use ids::Ids;
use url::Url;

/// Environment variables, read once. The `Debug` form shows names only.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own variables; those that are not UTF-8 are left out.
    #[must_use]
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// The value of a variable that must be set.
    ///
    /// # Errors
    /// [`StartError::Missing`] names the variable.
    pub fn required(&self, name: &'static str) -> Result<String, StartError> {
        self.optional(name).map(str::to_owned).ok_or(StartError::Missing { name })
    }

    /// The value of a variable, `None` when it is unset or empty.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable that has a default.
    ///
    /// # Errors
    /// [`StartError::Unreadable`] names the variable when its value cannot be read as a `T`.
    pub fn parsed<T: FromStr>(&self, name: &'static str, default: T) -> Result<T, StartError> {
        match self.optional(name) {
            None => Ok(default),
            Some(value) => value.trim().parse().map_err(|_| StartError::Unreadable { name }),
        }
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The host of a URL, with the port if it names one: what is named after where Artisan is served begins so. `None` when the
/// text is no URL, or one without a host.
#[must_use]
pub fn host_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Why a function cannot start. Lambda reports it as an init error; nothing has been served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A variable that must be set is not.
    #[error("environment variable {name} is not set")]
    Missing {
        /// The variable.
        name: &'static str,
    },
    /// A variable's value cannot be read.
    #[error("environment variable {name} has a value that cannot be read")]
    Unreadable {
        /// The variable.
        name: &'static str,
    },
    /// A secret could not be fetched.
    #[error("secret {name} could not be read")]
    Secret {
        /// The variable that names the secret.
        name: &'static str,
        /// What Secrets Manager said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A client could not be built.
    #[error("the {what} could not be built")]
    Client {
        /// Which client.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The AWS clients functions use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AwsClients {
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// Secrets Manager.
    pub secrets: aws_sdk_secretsmanager::Client,
    /// What they were made from, for the client of a service that only one function uses: the others are not to
    /// carry it.
    pub config: aws_config::SdkConfig,
}

impl AwsClients {
    /// Clients from the standard AWS environment (`AWS_REGION`, credentials, `AWS_ENDPOINT_URL`).
    pub async fn load() -> Self {
        Self::from_config(&shared_settings(aws_config::defaults(behavior())).load().await)
    }

    /// Clients for an already loaded SDK configuration.
    #[must_use]
    pub fn from_config(config: &aws_config::SdkConfig) -> Self {
        Self {
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            sqs: aws_sdk_sqs::Client::new(config),
            secrets: aws_sdk_secretsmanager::Client::new(config),
            config: config.clone(),
        }
    }
}

/// The SDK behaviour every client is pinned to, in one place.
#[must_use]
pub fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// Retries and time limits every client shares: three attempts, 3 s each, 8 s in all, so that a store that does
/// not answer becomes a 503 well before API Gateway's own limit of 30 s.
#[must_use]
pub fn shared_settings(loader: aws_config::ConfigLoader) -> aws_config::ConfigLoader {
    loader.retry_config(RetryConfig::standard().with_max_attempts(3)).timeout_config(
        TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(Duration::from_secs(3))
            .operation_timeout(Duration::from_secs(8))
            .build(),
    )
}

/// Everything a function is given at start.
#[derive(Clone, Debug)]
pub struct Services {
    /// Its environment variables.
    pub environment: Environment,
    /// Its AWS clients.
    pub aws: AwsClients,
    /// Its clock.
    pub clock: Clock,
    /// Its source of ids.
    pub ids: Ids,
}

impl Services {
    /// The services of the process: its environment, AWS as that environment says, the system's clock. Where the environment
    /// names a `METRICS_NAMESPACE`, the process's metrics are published in it.
    pub async fn of_process() -> Self {
        let environment = Environment::of_process();
        if let Some(namespace) = environment.optional("METRICS_NAMESPACE") {
            let function = environment.optional("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
            telemetry::metrics::publish_to_stdout(namespace, function);
        }
        Self::new(environment, AwsClients::load().await, Clock::system())
    }

    /// Services from their parts.
    #[must_use]
    pub fn new(environment: Environment, aws: AwsClients, clock: Clock) -> Self {
        Self { environment, aws, ids: Ids::new(clock.clone()), clock }
    }

    /// The text of the secret that the variable `name` points at.
    ///
    /// # Errors
    /// [`StartError::Missing`] when the variable is unset, [`StartError::Secret`] when the secret cannot be read
    /// or holds no text.
    pub async fn secret(&self, name: &'static str) -> Result<String, StartError> {
        let id = self.environment.required(name)?;
        let answer =
            self.aws.secrets.get_secret_value().secret_id(id).send().await.map_err(|source| {
                StartError::Secret { name, source: Box::new(source.into_service_error()) }
            })?;
        answer
            .secret_string
            .filter(|text| text.len() >= 32)
            .ok_or_else(|| StartError::Secret { name, source: "it holds fewer than 32 characters".into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_its_port_if_that_is_named() {
        assert_eq!(host_of("https://artisan.example.com/x").as_deref(), Some("artisan.example.com"));
        assert_eq!(host_of("https://Artisan.example.com:443").as_deref(), Some("artisan.example.com"));
        assert_eq!(host_of("http://localhost:8000").as_deref(), Some("localhost:8000"));
        assert_eq!(host_of("nonsense"), None);
        assert_eq!(host_of("mailto:a@example.com"), None);
    }
}
