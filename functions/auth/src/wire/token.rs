//! Tokens from mails.

use access::{OneTimeKind, OneTimeToken};
use edge::{Edge, Refused, RequestInfo};
use problem::Problem;
use store::SingleUse;

/// What a token from a mail stands for. Whether it is still good is judged once more in the transaction that uses it.
///
/// # Errors
/// 422 when we never made it, 410 when it was used or came too late.
pub(crate) async fn redeem(
    edge: &Edge,
    request: &RequestInfo,
    kind: OneTimeKind,
    text: &str,
) -> Result<SingleUse, Refused> {
    let invalid = Refused(Problem::TokenInvalid);
    let Some(token) = OneTimeToken::parse(kind, text) else { return Err(invalid) };
    let Some(found) = edge.unscoped_store().single_use(&token.digest()).await? else { return Err(invalid) };
    if found.spent {
        return Err(Refused(Problem::TokenSpent));
    }
    if found.valid_until <= request.now {
        return Err(Refused(Problem::TokenExpired));
    }
    Ok(found)
}
