//! What every function's OpenAPI document has in common.

use clock::Timestamp;
use ids::WorkspaceId;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

/// An `application/problem+json` body (RFC 9457).
#[derive(Debug, ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "the schema of what the `problem` crate writes")]
pub struct ProblemBody {
    /// Reference to the entry in the error reference.
    r#type: String,
    /// Short summary.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened this time.
    detail: String,
    /// The path of the request.
    instance: String,
    /// The stable name to program against.
    code: String,
    /// The id of the request.
    request_id: String,
    /// The permission that is missing, on 403.
    #[schema(required = false)]
    permission: String,
    /// Each fault, on 422.
    #[schema(required = false)]
    errors: Vec<ProblemField>,
    /// What to free, on 409 `plan_too_small`.
    #[schema(required = false)]
    excess: Vec<ProblemExcess>,
    /// The policies of `RateLimit-Policy` that were violated, on 429 `rate_limited`.
    #[serde(rename = "violated-policies")]
    #[schema(required = false)]
    violated_policies: Vec<String>,
}

/// More of something than a plan allows.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the schema of what the `problem` crate writes")]
pub(crate) struct ProblemExcess {
    /// `seats`, `workspaces`, `api_keys`, `requests_per_hour` or `endpoints`.
    resource: String,
    /// How many are in use.
    used: u64,
    /// How many the plan allows.
    limit: u64,
}

/// One fault in a request.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the schema of what the `problem` crate writes")]
pub(crate) struct ProblemField {
    /// RFC 6901 pointer into the body, or `header:<name>`, `query:<name>`.
    pointer: String,
    /// The stable name of the fault.
    code: String,
    /// What is expected.
    message: String,
}

/// A role that is held in a workspace.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum RoleInWorkspace {
    /// Runs it.
    Manager,
    /// Works in it.
    Member,
    /// Looks on.
    ReadOnly,
}

/// Texts of a format, as schemas.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident $format:literal $example:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let format = SchemaFormat::Custom($format.to_owned());
                ObjectBuilder::new().schema_type(Type::String).format(Some(format)).examples([$example]).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

texts! {
    /// A network, as RFC 4632 and RFC 4291 write it.
    Network "cidr" "203.0.113.0/24";
    /// A web origin (RFC 6454), as browsers send it.
    Origin "origin" "https://app.example.com";
    /// The name of a host (RFC 1123).
    Hostname "hostname" "example.com";
}

/// Parameters of every list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) struct PageParameters {
    /// How many.
    #[param(minimum = 1, maximum = 100, default = 25)]
    limit: Option<u32>,
    /// Where to go on: the `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Buckets of an hour or of a day.
#[derive(Debug, ToSchema)]
#[schema(as = UsageGranularity, rename_all = "lowercase")]
#[expect(dead_code, reason = "only its description is used")]
enum GranularityName {
    Hour,
    Day,
}

/// Parameters of everything that is told by hour or day.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) struct RangeParameters {
    /// `hour` if not given.
    #[param(inline)]
    granularity: Option<GranularityName>,
    /// 24 hours or 30 days before `to` if not given. At most 31 days (by hour) or 366 days (by day) before `to`.
    from: Option<Timestamp>,
    /// Now if not given.
    to: Option<Timestamp>,
}

/// The workspace to act in.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) struct WorkspaceParameter {
    /// The workspace to act in; needed when the caller could act in several.
    #[param(rename = "X-Workspace-Id")]
    workspace: Option<WorkspaceId>,
}

/// What makes a request safe to repeat.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) struct IdempotencyParameter {
    /// 1 to 255 visible ASCII characters. The same key with the same request gives the first answer again for 24
    /// hours, with `Idempotency-Replayed: true`.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]*$")]
    key: Option<String>,
}

/// The version a change is meant for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) struct IfMatchParameter {
    /// The `ETag` of the version the caller knows; 412 if the resource has changed since.
    #[param(rename = "If-Match")]
    tag: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::{DEFAULT_LIMIT, MAX_LIMIT};
    use crate::idempotency::LONGEST_KEY;
    use serde_json::{Value, json};

    fn schemas<P: IntoParams>() -> Vec<Value> {
        let parameters = P::into_params(|| None).into_iter();
        parameters.map(|it| serde_json::to_value(it).unwrap()["schema"].take()).collect()
    }

    /// The attributes take numbers only.
    #[test]
    fn documented_limits_are_the_ones_that_are_enforced() {
        let limit = &schemas::<PageParameters>()[0];
        let limits = [&limit["minimum"], &limit["maximum"], &limit["default"]];
        assert_eq!(limits, [&json!(1), &json!(MAX_LIMIT), &json!(DEFAULT_LIMIT)]);
        let key = &schemas::<IdempotencyParameter>()[0];
        assert_eq!([&key["minLength"], &key["maxLength"]], [&json!(1), &json!(LONGEST_KEY)]);
    }
}
