//! Links that work for a while: the query says since when and for how long.
//!
//! Goes by the platform's clock, so that a test makes a link expire by moving it. The signature is not checked, like no
//! other one here; but a header that was signed and is not sent is missed, as the signature would be wrong without it.

use chrono::NaiveDateTime;
use clock::Timestamp;

use super::Call;
use super::refusal::Refusal;
use super::request::Query;

/// The longest validity, in seconds: a week.
const LONGEST: u64 = 7 * 24 * 3600;
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Whether a query signs for S3.
pub(in crate::engines) fn is_signed(query: &str) -> bool {
    Query::parse(query).is_some_and(|query| {
        query.get("X-Amz-Algorithm") == Some(ALGORITHM)
            && query.get("X-Amz-Signature").is_some_and(|signature| !signature.is_empty())
            && query.get("X-Amz-Credential").is_some_and(|scope| scope.ends_with(super::SCOPE))
    })
}

/// Refuses a link that has expired or lacks a header. A call that is signed in its headers has none of this.
pub(super) fn check(query: &Query, call: &Call, now: Timestamp) -> Result<(), Refusal> {
    if query.get("X-Amz-Algorithm").is_none() {
        return Ok(());
    }
    let malformed = |said: &str| Refusal::new(400, "AuthorizationQueryParametersError", said);
    let since = query
        .get("X-Amz-Date")
        .and_then(|text| NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok())
        .map(|since| Timestamp::from_millis(since.and_utc().timestamp_millis()))
        .ok_or_else(|| malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""))?;
    let valid_for = query
        .get("X-Amz-Expires")
        .and_then(|text| text.parse::<u64>().ok())
        .ok_or_else(|| malformed("X-Amz-Expires should be a number"))?;
    if valid_for > LONGEST {
        return Err(malformed("X-Amz-Expires must be less than a week (in seconds); 604800"));
    }
    let until = since + std::time::Duration::from_secs(valid_for);
    if now > until {
        return Err(Refusal::denied("Request has expired")
            .about("X-Amz-Expires", valid_for.to_string())
            .about("Expires", until.to_string())
            .about("ServerTime", now.to_string()));
    }
    let mut signed = query.get("X-Amz-SignedHeaders").unwrap_or_default().split(';');
    if let Some(missing) = signed.find(|name| !call.headers.contains_key(*name)) {
        let said = "The request signature we calculated does not match the signature you provided.";
        return Err(Refusal::new(403, "SignatureDoesNotMatch", said).about("SignedHeaders", missing));
    }
    Ok(())
}
