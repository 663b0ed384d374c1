//! What can go wrong between us and a table.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// A store operation that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB throttled, timed out or was not reached; the operation may be retried. Answered with 503.
    #[error("the store did not serve `{operation}`")]
    Unavailable {
        /// Which operation of ours.
        operation: &'static str,
        /// What the SDK reports.
        #[source]
        source: BoxError,
    },
    /// An item cannot be read as what its key says it is. A fault of ours.
    #[error("an item read by `{operation}` is malformed")]
    Malformed {
        /// Which operation of ours.
        operation: &'static str,
        /// How.
        #[source]
        source: BoxError,
    },
    /// An item has no room for what it is to hold. Answered with 413.
    #[error("`{operation}` would write {bytes} bytes where there is room for {most}")]
    TooLarge {
        /// Which operation of ours.
        operation: &'static str,
        /// How many bytes there are.
        bytes: usize,
        /// How many there may be.
        most: usize,
    },
    /// DynamoDB refused the request itself. A fault of ours.
    #[error("the store refused `{operation}`")]
    Refused {
        /// Which operation of ours.
        operation: &'static str,
        /// What DynamoDB said.
        #[source]
        source: BoxError,
    },
}

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl StoreError {
    pub(crate) fn malformed(operation: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Malformed { operation, source: source.into() }
    }

    /// Sorts an SDK error: what time may heal is [`StoreError::Unavailable`], all else a fault of ours.
    pub(crate) fn from_sdk<E>(operation: &'static str, error: SdkError<E>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let passing = match &error {
            SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
            SdkError::ServiceError(context) => {
                context.raw().status().is_server_error() || context.err().code().is_some_and(is_passing)
            }
            _ => false,
        };
        let source: BoxError = Box::new(error);
        if passing { Self::Unavailable { operation, source } } else { Self::Refused { operation, source } }
    }
}

/// Error codes of DynamoDB that go away by themselves.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
pub(crate) fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "ThrottlingError"
            | "ProvisionedThroughputExceededException"
            | "ProvisionedThroughputExceeded"
            | "RequestLimitExceeded"
            | "InternalServerError"
            | "ServiceUnavailable"
            | "LimitExceededException"
            | "TransactionInProgressException"
            | "TransactionConflictException"
            | "TransactionConflict"
    )
}
