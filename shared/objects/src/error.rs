//! What can go wrong, sorted by whether time may heal it.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why an operation on a bucket failed.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// S3 throttled, timed out, was not reached or had a fault of its own: trying again may help. It may have been done
    /// all the same.
    #[error("the object store was not able to {doing}")]
    Unavailable {
        /// What was to be done.
        doing: &'static str,
        /// What the SDK reports.
        #[source]
        source: BoxError,
    },
    /// S3 won't: a permission that is missing, an object that is locked, an upload or a bucket that isn't there.
    #[error("the object store refused to {doing}")]
    Refused {
        /// What was to be done.
        doing: &'static str,
        /// What S3 said.
        #[source]
        source: BoxError,
    },
}

impl ObjectError {
    /// Whether the same may succeed later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Sorts an SDK error.
    pub(crate) fn of<E>(doing: &'static str, error: SdkError<E>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let passing = match &error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
            SdkError::ServiceError(context) => {
                let status = context.raw().status();
                status.is_server_error()
                    || status.as_u16() == 429
                    || context.err().code().is_some_and(is_passing)
            }
            _ => false,
        };
        let source: BoxError = Box::new(error);
        if passing { Self::Unavailable { doing, source } } else { Self::Refused { doing, source } }
    }
}

/// Error codes of S3 that go away by themselves, whatever their status.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "InternalError"
            | "OperationAborted"
            | "RequestTimeout"
            | "ServiceUnavailable"
            | "SlowDown"
            | "Throttling"
            | "ThrottlingException"
    )
}
