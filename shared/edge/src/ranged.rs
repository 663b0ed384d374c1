//! Ranges of time in whole buckets: `?granularity=hour|day&from=&to=`.

use axum::extract::FromRequestParts;
use http::request::Parts;
use input::RangeDraft;
use problem::{Code, FieldError, Problem};

use crate::cursor::{Narrow, Values, values};
use crate::{Argument, Description, Edge, Refused};

/// What a caller wants to see of a time, and what it is narrowed by. [`RangeDraft::check`] makes a range of it.
#[derive(Debug, Clone)]
pub struct Ranged<F = All> {
    /// Of which time, and how long the buckets are.
    pub range: RangeDraft,
    /// What of it.
    pub by: F,
}

/// Not narrowed by anything.
#[derive(Debug, Clone, Copy)]
pub struct All;

impl Narrow for All {
    const NAMES: &'static [&'static str] = &[];

    fn read(_: &Values, _: &mut Vec<FieldError>) -> Self {
        Self
    }
}

const NAMES: &[&str] = &["granularity", "from", "to"];

impl<F: Narrow> FromRequestParts<Edge> for Ranged<F> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self, Refused> {
        let (mut values, mut errors) = values(parts, &[NAMES, F::NAMES])?;
        let mut take = |name: &str| values.remove(name);
        let range = RangeDraft { granularity: take("granularity"), from: take("from"), to: take("to") };
        let by = F::read(&values, &mut errors);
        if errors.is_empty() { Ok(Self { range, by }) } else { Err(Refused(Problem::Invalid { errors })) }
    }
}

impl<F: Narrow> Argument for Ranged<F> {
    fn describe(operation: &mut Description<'_>) {
        operation.takes::<crate::openapi::RangeParameters>();
        operation.refuses(&[Code::Invalid]);
    }
}
