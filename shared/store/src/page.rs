//! Pages of a list: a limit, and the id after which to go on.

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<P> {
    /// How many at most; at least one.
    pub limit: usize,
    /// Go on after this position; from the start when absent.
    pub after: Option<P>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Whether there are more after them.
    pub more: bool,
}

impl<T> Page<T> {
    /// The page of `limit` items at the front of `items`, which was read with one item more than that.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}
