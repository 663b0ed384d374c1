//! One S3 bucket: objects are put, fetched, listed and linked to, whole or in parts.
//!
//! The only place that knows S3. Promises that whatever is put carries a SHA-256 that S3 checks and keeps (Object Lock
//! demands one); that every call may be repeated, also when its answer was lost; and that an error says whether time
//! may heal it. Keys are the caller's; they are no secrets and say nothing about people.
//!
//! A function that does not use this crate does not link S3's client: it is made here, from what the other clients
//! were made from, and is no part of [`runtime::AwsClients`].

mod error;
mod link;
mod upload;

use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{ResponseChecksumValidation, StalledStreamProtectionConfig};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clock::{Clock, Timestamp};
use runtime::{Environment, Services, StartError};
use sha2::{Digest as _, Sha256};

pub use error::{BoxError, ObjectError};
pub use link::Link;
pub use upload::{SMALLEST_PART, Upload};

/// One attempt may take longer than one at a table: it carries megabytes. All of them together end before a function's
/// 15 seconds do.
const ATTEMPT: Duration = Duration::from_secs(6);
const OPERATION: Duration = Duration::from_secs(12);

/// The client of S3. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    s3: aws_sdk_s3::Client,
    /// Signs links: what the other one asks S3 to add to its answers would have to be asked by whoever follows one.
    links: aws_sdk_s3::Client,
    clock: Clock,
}

impl Client {
    /// The client for what a function was given. Buckets stand in the path, and not in the host's name, wherever another
    /// address than AWS's own is configured.
    #[must_use]
    pub fn from_services(services: &Services) -> Self {
        let config = &services.aws.config;
        let elsewhere =
            config.endpoint_url().is_some() || services.environment.optional("AWS_ENDPOINT_URL_S3").is_some();
        let limits = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let settings = Builder::from(config)
            .force_path_style(elsewhere)
            .timeout_config(limits)
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().build());
        let links = settings.clone().response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        Self {
            s3: aws_sdk_s3::Client::from_conf(settings.build()),
            links: aws_sdk_s3::Client::from_conf(links.build()),
            clock: services.clock.clone(),
        }
    }
}

/// A bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    name: String,
}

/// One object of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was put.
    pub modified_at: Option<Timestamp>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Up to 1,000 objects, in the order of the bytes of their keys.
    pub objects: Vec<Listed>,
    /// The key after which the next part begins; `None` when there is none.
    pub next_after: Option<String>,
}

impl Bucket {
    /// The bucket whose name is in `variable`.
    ///
    /// # Errors
    /// [`StartError::Missing`] when it is not set.
    pub fn from_environment(
        environment: &Environment,
        variable: &'static str,
        client: &Client,
    ) -> Result<Self, StartError> {
        Ok(Self { client: client.clone(), name: environment.required(variable)? })
    }

    /// Puts an object, in place of the one that has this key, if there is one.
    ///
    /// # Errors
    /// [`ObjectError`]. The object may then be there all the same, but whole.
    pub async fn put(
        &self,
        key: &str,
        content: impl Into<Bytes> + Send,
        content_type: &str,
    ) -> Result<(), ObjectError> {
        let content: Bytes = content.into();
        let call = self.client.s3.put_object().bucket(&self.name).key(key).content_type(content_type);
        let call = call.checksum_sha256(checksum(&content)).body(ByteStream::from(content));
        call.send().await.map_err(|e| ObjectError::of("put an object", e))?;
        Ok(())
    }

    /// The content of an object; `None` when there is none of this key.
    ///
    /// # Errors
    /// [`ObjectError`]
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, ObjectError> {
        const DOING: &str = "get an object";
        let answer = match self.client.s3.get_object().bucket(&self.name).key(key).send().await {
            Ok(answer) => answer,
            Err(SdkError::ServiceError(context)) if matches!(context.err(), GetObjectError::NoSuchKey(_)) => {
                return Ok(None);
            }
            Err(error) => return Err(ObjectError::of(DOING, error)),
        };
        let content = answer.body.collect().await;
        let content = content.map_err(|e| ObjectError::Unavailable { doing: DOING, source: Box::new(e) })?;
        Ok(Some(content.into_bytes()))
    }

    /// The objects whose keys begin with `prefix`, from the first one after `after`.
    ///
    /// # Errors
    /// [`ObjectError`]
    pub async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, ObjectError> {
        let call = self.client.s3.list_objects_v2().bucket(&self.name).prefix(prefix);
        let call = call.set_start_after(after.map(str::to_owned));
        let answer = call.send().await.map_err(|e| ObjectError::of("list objects", e))?;
        let is_truncated = answer.is_truncated().unwrap_or(false);
        let objects: Vec<Listed> = answer
            .contents
            .unwrap_or_default()
            .into_iter()
            .filter_map(|object| {
                let modified = object.last_modified.and_then(|time| time.to_millis().ok());
                Some(Listed {
                    key: object.key?,
                    size: object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                    modified_at: modified.map(Timestamp::from_millis),
                })
            })
            .collect();
        let next_after = objects.last().filter(|_| is_truncated).map(|last| last.key.clone());
        Ok(Page { objects, next_after })
    }

    /// Deletes an object, if there is one of this key.
    ///
    /// # Errors
    /// [`ObjectError`]; refused where the bucket has Object Lock.
    pub async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let call = self.client.s3.delete_object().bucket(&self.name).key(key);
        call.send().await.map_err(|e| ObjectError::of("delete an object", e))?;
        Ok(())
    }

    /// A link with which anybody can download the object for `expires_in` (a week at most), under this file name and as
    /// this type. It ends earlier when the credentials do that it was signed with; those of a function last for hours.
    /// Whether the object exists is not looked at.
    ///
    /// # Errors
    /// [`ObjectError`]; refused when `expires_in` is longer than a week.
    pub async fn link(
        &self,
        key: &str,
        expires_in: Duration,
        file_name: &str,
        content_type: &str,
    ) -> Result<Link, ObjectError> {
        const DOING: &str = "sign a link";
        let now = Duration::from_millis(self.client.clock.now().millis().unsigned_abs());
        let signing = PresigningConfig::builder().start_time(UNIX_EPOCH + now).expires_in(expires_in).build();
        let signing = signing.map_err(|e| ObjectError::Refused { doing: DOING, source: Box::new(e) })?;
        let call = self.client.links.get_object().bucket(&self.name).key(key);
        let call = call
            .response_content_type(content_type)
            .response_content_disposition(link::attachment(file_name));
        let signed = call.presigned(signing).await.map_err(|e| ObjectError::of(DOING, e))?;
        Ok(Link::new(signed.uri()))
    }
}

fn checksum(content: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(content))
}
