//! Pagination: `?limit=` and an opaque, sealed `&cursor=`.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use http::request::Parts;
use problem::{FieldError, Problem};
use serde::Serialize;
use store::{Page, PageRequest};

use crate::request::{LONGEST_REQUEST_ID, is_request_id};
use crate::{Edge, Refused, Reply};

pub(crate) const DEFAULT_LIMIT: usize = 25;
pub(crate) const MAX_LIMIT: usize = 100;

/// Which page a caller asked for. The cursor is opened by [`Paging::page`], once it is known whose it must be.
#[derive(Debug, Clone)]
pub struct Paging {
    edge: Edge,
    limit: usize,
    cursor: Option<String>,
    path: String,
}

impl FromRequestParts<Edge> for Paging {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        let (paging, _, errors) = read(parts, edge, &[])?;
        if errors.is_empty() { Ok(paging) } else { Err(Refused(Problem::Invalid { errors })) }
    }
}

/// The values of the parameters of a list besides those of its paging.
pub type Values = BTreeMap<&'static str, String>;

/// The `request_id` that a list is narrowed by, if it is one.
pub fn request_id(values: &Values, faults: &mut Vec<FieldError>) -> Option<String> {
    let id = values.get("request_id")?;
    let mut fault = |code, message| faults.push(FieldError::new("query:request_id", code, message));
    if !(1..=LONGEST_REQUEST_ID).contains(&id.len()) {
        fault("length", format!("must have 1 to {LONGEST_REQUEST_ID} characters"));
    } else if !is_request_id(id) {
        fault("format", "is not the id of a request".to_owned());
    } else {
        return Some(id.clone());
    }
    None
}

/// Whether `include` asks for `what`, the one thing that a list can tell besides.
pub fn includes(values: &Values, faults: &mut Vec<FieldError>, what: &str) -> bool {
    match values.get("include") {
        None => false,
        Some(asked) if asked == what => true,
        Some(_) => {
            faults.push(FieldError::new("query:include", "value", format!("must be `{what}`")));
            false
        }
    }
}

/// What a list can be narrowed by.
pub trait Narrow: Sized {
    /// The names of its parameters.
    const NAMES: &'static [&'static str];

    /// What the parameters that are given say. Faults are noted, and refuse the request.
    fn read(values: &Values, faults: &mut Vec<FieldError>) -> Self;
}

/// A list that can be narrowed. Its cursors are good for the same narrowing only.
#[derive(Debug, Clone)]
pub struct Narrowed<F> {
    /// Which page.
    pub paging: Paging,
    /// What of it.
    pub by: F,
}

impl<F: Narrow> FromRequestParts<Edge> for Narrowed<F> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        let (mut paging, values, mut errors) = read(parts, edge, F::NAMES)?;
        let by = F::read(&values, &mut errors);
        for (name, value) in values {
            paging.path.push_str(&format!("\n{name}={value}"));
        }
        if errors.is_empty() { Ok(Self { paging, by }) } else { Err(Refused(Problem::Invalid { errors })) }
    }
}

fn read(
    parts: &Parts,
    edge: &Edge,
    further: &'static [&'static str],
) -> Result<(Paging, Values, Vec<FieldError>), Refused> {
    let (mut values, mut errors) = values(parts, &[&["limit", "cursor"], further])?;
    let limit = match values.remove("limit").map(|limit| limit.parse::<usize>()) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit)) if (1..=MAX_LIMIT).contains(&limit) => limit,
        Some(_) => {
            errors.push(FieldError::new("query:limit", "range", format!("must be 1 to {MAX_LIMIT}")));
            DEFAULT_LIMIT
        }
    };
    let (cursor, path) = (values.remove("cursor"), parts.uri.path().to_owned());
    Ok((Paging { edge: edge.clone(), limit, cursor, path }, values, errors))
}

/// The values of the parameters of these names, each given once. Others are faults.
pub(crate) fn values(
    parts: &Parts,
    names: &[&'static [&'static str]],
) -> Result<(Values, Vec<FieldError>), Refused> {
    let query = parts.uri.query().unwrap_or_default();
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
        .map_err(|_| Problem::invalid("query:", "format", "the query string cannot be read"))?;
    let (mut values, mut errors) = (Values::new(), Vec::new());
    for (name, value) in pairs {
        match names.iter().copied().flatten().find(|known| **known == name) {
            Some(known) => {
                if values.insert(*known, value).is_some() {
                    errors.push(FieldError::new(format!("query:{known}"), "value", "is given twice"));
                }
            }
            None => {
                let name: String = name.chars().take(64).collect();
                let message = "there is no such parameter";
                errors.push(FieldError::new(format!("query:{name}"), "unknown_field", message));
            }
        }
    }
    Ok((values, errors))
}

impl Edge {
    /// The paging of a list whose limit and cursor come in the body. `path` is that of the route, which cursors are bound to.
    #[must_use]
    pub fn paging(&self, path: &str, limit: usize, cursor: Option<String>) -> Paging {
        Paging { edge: self.clone(), limit, cursor, path: path.to_owned() }
    }
}

#[derive(Serialize)]
struct List<'a, T> {
    data: &'a [T],
    next_cursor: Option<String>,
}

impl Paging {
    /// The page, given what the list is confined to (the tenant, the workspace…). A cursor made for another
    /// tenant, another list or another caller's view of it does not open.
    ///
    /// # Errors
    /// 422 `invalid_cursor`.
    pub fn page<P: std::str::FromStr>(&self, confines: &str) -> Result<PageRequest<P>, Refused> {
        let after = match &self.cursor {
            None => None,
            Some(cursor) => {
                let plain = self.edge.0.cursors.open(self.context(confines).as_bytes(), cursor).ok();
                let position = plain.and_then(|plain| String::from_utf8(plain).ok()?.parse().ok());
                Some(position.ok_or(Problem::InvalidCursor)?)
            }
        };
        Ok(PageRequest { limit: self.limit, after })
    }

    /// The answer: `{"data":[…],"next_cursor":…}`. `position` is that of the last item read, which need not be
    /// the last one shown.
    ///
    /// # Errors
    /// A 500 when it can't be written.
    pub fn reply<T: Serialize>(&self, confines: &str, data: &[T], position: Option<String>) -> Reply {
        let next_cursor = position
            .map(|position| self.edge.0.cursors.seal(self.context(confines).as_bytes(), position.as_bytes()))
            .transpose()?;
        crate::ok(&List { data, next_cursor }, None)
    }

    fn context(&self, confines: &str) -> String {
        format!("{}\n{confines}", self.path)
    }
}

/// The position to go on from, if there is more.
pub(crate) fn position<T>(page: &Page<T>, of: impl FnOnce(&T) -> String) -> Option<String> {
    page.items.last().filter(|_| page.more).map(of)
}

impl Paging {
    /// [`Paging::reply`] for a page whose items are shown as `show` makes them.
    ///
    /// # Errors
    /// A 500 when it can't be written.
    pub fn show<T, W: Serialize>(
        &self,
        confines: &str,
        page: &Page<T>,
        position_of: impl FnOnce(&T) -> String,
        show: impl FnMut(&T) -> Option<W>,
    ) -> Reply {
        let position = position(page, position_of);
        let data: Vec<W> = page.items.iter().filter_map(show).collect();
        self.reply(confines, &data, position)
    }
}
