//! Pagination: `?limit=` and an opaque, sealed `&cursor=`.

use axum::extract::FromRequestParts;
use http::request::Parts;
use problem::{FieldError, Problem};
use serde::Serialize;
use store::{Page, PageRequest};

use crate::{Edge, Refused, Reply};

const DEFAULT_LIMIT: usize = 25;
const MAX_LIMIT: usize = 100;

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
        let query = parts.uri.query().unwrap_or_default();
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
            .map_err(|_| Problem::invalid("query:", "format", "the query string cannot be read"))?;
        let mut paging = Self {
            edge: edge.clone(),
            limit: DEFAULT_LIMIT,
            cursor: None,
            path: parts.uri.path().to_owned(),
        };
        let mut errors = Vec::new();
        for (name, value) in pairs {
            match name.as_str() {
                "limit" => match value.parse() {
                    Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => paging.limit = limit,
                    _ => errors.push(FieldError::new(
                        "query:limit",
                        "range",
                        format!("must be 1 to {MAX_LIMIT}"),
                    )),
                },
                "cursor" => paging.cursor = Some(value),
                other => {
                    let name: String = other.chars().take(64).collect();
                    errors.push(FieldError::new(
                        format!("query:{name}"),
                        "unknown_field",
                        "there is no such parameter",
                    ));
                }
            }
        }
        if errors.is_empty() { Ok(paging) } else { Err(Refused(Problem::Invalid { errors })) }
    }
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
