//! An object put in parts, by whoever comes by.
//!
//! An [`Upload`] is what has to be remembered between one part and the next: it can be written down and taken up again
//! in another process. A part that is sent twice is there once.

use std::collections::BTreeMap;

use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Bucket, ObjectError, checksum};

/// Every part but the last has this many bytes at least.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub const SMALLEST_PART: usize = 5 * 1024 * 1024;

const NO_SUCH_UPLOAD: &str = "NoSuchUpload";

/// An upload that is not complete: nobody sees its object, and it takes up room until it is completed or aborted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    key: String,
    id: String,
    parts: BTreeMap<u16, Part>,
}

/// A part that S3 has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    etag: String,
    sha256: String,
    size: u64,
}

impl Upload {
    /// Begins an upload.
    ///
    /// # Errors
    /// [`ObjectError`]. An upload may then have begun that nobody knows of; the bucket's lifecycle clears it away.
    pub async fn begin(bucket: &Bucket, key: &str, content_type: &str) -> Result<Self, ObjectError> {
        const DOING: &str = "begin an upload";
        let call = bucket.client.s3.create_multipart_upload().bucket(&bucket.name).key(key);
        let call = call.content_type(content_type).checksum_algorithm(ChecksumAlgorithm::Sha256);
        let answer = call.send().await.map_err(|e| ObjectError::of(DOING, e))?;
        let unnamed = || ObjectError::Refused { doing: DOING, source: "the answer names no upload".into() };
        Ok(Self { key: key.to_owned(), id: answer.upload_id.ok_or_else(unnamed)?, parts: BTreeMap::new() })
    }

    /// The key of the object that it will be.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The number after the highest of a part that is there: the next one, where they are sent in turn.
    #[must_use]
    pub fn next_part(&self) -> u16 {
        self.parts.last_key_value().map_or(1, |(number, _)| number.saturating_add(1))
    }

    /// How many bytes are there, in all parts.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.parts.values().map(|part| part.size).sum()
    }

    /// Sends the part `number` (1 to 10,000), in place of the one of this number, if there is one. Numbers need not be
    /// consecutive; the content is that of the parts in the order of their numbers. All parts but the last have
    /// [`SMALLEST_PART`] bytes or more.
    ///
    /// # Errors
    /// [`ObjectError`]. The upload is as it was, and the part can be sent again.
    pub async fn part(
        &mut self,
        bucket: &Bucket,
        number: u16,
        content: impl Into<Bytes> + Send,
    ) -> Result<(), ObjectError> {
        const DOING: &str = "take a part of an upload";
        let content: Bytes = content.into();
        let (size, sha256) = (content.len() as u64, checksum(&content));
        let call = bucket.client.s3.upload_part().bucket(&bucket.name).key(&self.key).upload_id(&self.id);
        let call = call.part_number(number.into()).checksum_sha256(&sha256).body(ByteStream::from(content));
        let answer = call.send().await.map_err(|e| ObjectError::of(DOING, e))?;
        let unnamed = || ObjectError::Refused { doing: DOING, source: "the answer has no entity tag".into() };
        let etag = answer.e_tag.ok_or_else(unnamed)?;
        self.parts.insert(number, Part { etag, sha256, size });
        Ok(())
    }

    /// Makes the object of the parts. An empty object has one empty part.
    ///
    /// Once more is no error: when S3 no longer knows the upload and the object is what it would have become, it has been
    /// completed, and only the answer was lost. That takes the permission to read the object.
    ///
    /// # Errors
    /// [`ObjectError`]. The upload is as it was, unless it was completed or aborted by somebody else.
    pub async fn complete(&self, bucket: &Bucket) -> Result<(), ObjectError> {
        let parts = self.parts.iter().map(|(number, part)| {
            CompletedPart::builder()
                .part_number((*number).into())
                .e_tag(&part.etag)
                .checksum_sha256(&part.sha256)
                .build()
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let call = bucket.client.s3.complete_multipart_upload().bucket(&bucket.name).key(&self.key);
        match call.upload_id(&self.id).multipart_upload(parts).send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(context)) if context.err().code() == Some(NO_SUCH_UPLOAD) => {
                if self.is_complete(bucket).await? {
                    return Ok(());
                }
                Err(ObjectError::of("complete an upload", SdkError::ServiceError(context)))
            }
            Err(error) => Err(ObjectError::of("complete an upload", error)),
        }
    }

    /// Whether the object is what these parts make.
    async fn is_complete(&self, bucket: &Bucket) -> Result<bool, ObjectError> {
        let call = bucket.client.s3.head_object().bucket(&bucket.name).key(&self.key);
        match call.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(object) => Ok(object.checksum_sha256.is_some_and(|sum| Some(sum) == self.checksum())),
            Err(SdkError::ServiceError(context)) if context.err().is_not_found() => Ok(false),
            Err(error) => Err(ObjectError::of("look for an object", error)),
        }
    }

    /// The SHA-256 of the parts' own, which is what S3 keeps of an object that was put in parts.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/tutorial-s3-mpu-additional-checksums.html>
    fn checksum(&self) -> Option<String> {
        let mut digest = Sha256::new();
        for part in self.parts.values() {
            digest.update(STANDARD.decode(&part.sha256).ok()?);
        }
        Some(format!("{}-{}", STANDARD.encode(digest.finalize()), self.parts.len()))
    }

    /// Gives the upload up. One that is not there any more has been given up or completed.
    ///
    /// # Errors
    /// [`ObjectError`]. What it takes up is cleared away by the bucket's lifecycle.
    pub async fn abort(&self, bucket: &Bucket) -> Result<(), ObjectError> {
        let call = bucket.client.s3.abort_multipart_upload().bucket(&bucket.name).key(&self.key);
        match call.upload_id(&self.id).send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(context)) if context.err().code() == Some(NO_SUCH_UPLOAD) => Ok(()),
            Err(error) => Err(ObjectError::of("abort an upload", error)),
        }
    }
}
