//! Forgotten passwords: from an address to the letter it gets, if it gets one.
//!
//! Here, and not where the request is answered, because neither the answer nor its timing may tell whether anybody has
//! the address.

use futures::future::BoxFuture;
use mailing::Letter;
use store::BoxError;

/// What was asked.
#[derive(Clone)]
pub struct Forgotten {
    /// The address, checked for its form.
    pub email: String,
    /// The request that asked.
    pub request_id: String,
    /// The address it came from.
    pub ip: String,
}

impl std::fmt::Debug for Forgotten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forgotten").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

/// Issues password resets.
pub trait ResetIssuer: Send + Sync {
    /// Issues a token that resets the password of whoever has the address, and gives the letter that carries it. `None`
    /// when nobody has it or nothing is to be sent.
    ///
    /// May be asked twice for the same request, and must do no harm then. An error means "ask again later".
    fn issue(&self, asked: Forgotten) -> BoxFuture<'_, Result<Option<Letter>, BoxError>>;
}

/// The letter that answers a forgotten password, if any does.
pub(crate) async fn letter(resets: &dyn ResetIssuer, asked: Forgotten) -> Result<Option<Letter>, BoxError> {
    let request_id = asked.request_id.clone();
    let letter = resets.issue(asked).await?;
    tracing::info!(request_id, "a forgotten password was looked into");
    Ok(letter)
}
