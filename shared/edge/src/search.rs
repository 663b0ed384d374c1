//! `?search=`: what is looked for in the names of a list's items.

use problem::FieldError;
use store::{Page, PageRequest};

use crate::Paging;
use crate::cursor::{Values, position};

/// Characters of a search at most.
const LONGEST: usize = 100;
/// How many items are looked through at once.
const LOOKED_THROUGH: usize = 1_000;

/// What a list is searched for: letters that stand somewhere in a name, be they capitals or not.
#[derive(Debug, Clone)]
pub struct Search {
    /// In lower case; nothing where the whole list is wanted.
    wanted: Option<String>,
}

impl Search {
    /// The parameter `search`. Faults are noted.
    pub fn read(values: &Values, faults: &mut Vec<FieldError>) -> Self {
        let wanted = values.get("search").map(|asked| asked.trim().to_lowercase());
        if let Some(wanted) = &wanted
            && !(1..=LONGEST).contains(&wanted.chars().count())
        {
            let message = format!("must have 1 to {LONGEST} characters");
            faults.push(FieldError::new("query:search", "length", message));
        }
        Self { wanted }
    }

    /// Whether it is found in one of these.
    #[must_use]
    pub fn finds(&self, names: &[&str]) -> bool {
        let Some(wanted) = &self.wanted else { return true };
        names.iter().any(|name| name.to_lowercase().contains(wanted))
    }

    /// The page to be read for a page of the list. A search reads more than it shows: up to a thousand items.
    #[must_use]
    pub fn widen<P>(&self, page: PageRequest<P>) -> PageRequest<P> {
        match self.wanted {
            Some(_) => PageRequest { limit: LOOKED_THROUGH, ..page },
            None => page,
        }
    }
}

impl Paging {
    /// Of a page that [`Search::widen`] asked for what `wanted` makes of it, as much as is to be shown, and the position to go
    /// on from: a search that has seen its thousand ends with a short page that is not the last.
    pub fn sift<T>(
        &self,
        page: Page<T>,
        position_of: impl Fn(&T) -> String,
        wanted: impl Fn(T) -> Option<T>,
    ) -> (Vec<T>, Option<String>) {
        sift(self.limit(), page, position_of, wanted)
    }
}

fn sift<T>(
    limit: usize,
    page: Page<T>,
    position_of: impl Fn(&T) -> String,
    wanted: impl Fn(T) -> Option<T>,
) -> (Vec<T>, Option<String>) {
    let end = position(&page, &position_of);
    let mut found: Vec<T> = page.items.into_iter().filter_map(wanted).take(limit + 1).collect();
    if found.len() <= limit {
        return (found, end);
    }
    found.truncate(limit);
    let position = found.last().map(position_of);
    (found, position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evens(limit: usize, items: &[u32], more: bool) -> (Vec<u32>, Option<String>) {
        let page = Page { items: items.to_vec(), more };
        sift(limit, page, ToString::to_string, |item| (item % 2 == 0).then_some(item))
    }

    #[test]
    fn a_search_goes_on_after_what_it_has_shown_or_seen() {
        // As many as are shown, and others behind them: after the last one shown.
        assert_eq!(evens(2, &[1, 2, 3, 4, 5, 6], false), (vec![2, 4], Some("4".to_owned())));
        assert_eq!(evens(2, &[2, 4, 6], true), (vec![2, 4], Some("4".to_owned())));
        // None behind them among those seen: after the last one seen, if there are more, or not at all.
        assert_eq!(evens(2, &[2, 4, 5], true), (vec![2, 4], Some("5".to_owned())));
        assert_eq!(evens(2, &[2, 4, 5], false), (vec![2, 4], None));
        assert_eq!(evens(2, &[1, 3], true), (vec![], Some("3".to_owned())));
        assert_eq!(evens(2, &[], false), (vec![], None));
    }

    fn search(asked: &str) -> (Search, Vec<FieldError>) {
        let mut faults = Vec::new();
        let search = Search::read(&Values::from([("search", asked.to_owned())]), &mut faults);
        (search, faults)
    }

    #[test]
    fn letters_are_found_whatever_their_case() {
        let (ada, _) = search(" aDA");
        assert!(ada.finds(&["Ada Lovelace", ""]) && ada.finds(&["", "canada@example.com"]));
        assert!(!ada.finds(&["Grace Hopper", "grace@example.com"]) && !ada.finds(&[]));
        assert!(search("ÉLO").0.finds(&["Éloïse"]));
        let all = Search::read(&Values::new(), &mut Vec::new());
        assert!(all.finds(&[]));
    }

    #[test]
    fn a_search_has_a_length() {
        for asked in ["", "  ", &"x".repeat(101)] {
            let faults = search(asked).1;
            assert_eq!(faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["length"], "{asked:?}");
        }
        assert!(search(&"é".repeat(100)).1.is_empty());
    }
}
