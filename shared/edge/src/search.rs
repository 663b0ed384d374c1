//! `?search=`: what is looked for in the names of a list's items.

use std::fmt::Display;
use std::str::FromStr;

use input::{Fault, Text};
use problem::FieldError;
use store::{Page, PageRequest, StoreError};
use utoipa::IntoParams;

use crate::cursor::Values;
use crate::{Paging, Refused};

/// Characters of a search at most.
const LONGEST: usize = 100;
/// So many items are looked through for a page, and so many of them are read at once.
const LOOKED_THROUGH: usize = 1_000;
const AT_ONCE: usize = 250;

/// The parameter, as it is described.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
pub struct Searchable {
    /// Narrows the list to those that are called so, or have this in what they are called; capitals make no difference. A
    /// thousand are looked through at once: a page of what is found may be short, or empty, and not the last.
    #[param(min_length = 1, max_length = 100, pattern = r"\S")]
    search: Option<String>,
}

/// What a list is searched for.
#[derive(Debug, Clone, Default)]
pub struct Search(Option<Wanted>);

#[derive(Debug, Clone)]
struct Wanted {
    text: String,
    folded: String,
}

impl Search {
    /// The name of its parameter.
    pub const NAME: &'static str = "search";

    /// What is asked for. Faults are noted.
    pub fn read(values: &Values, faults: &mut Vec<FieldError>) -> Self {
        let Some(asked) = values.get(Self::NAME) else { return Self(None) };
        let one_line = |text: String| match text.contains(char::is_control) {
            true => Err(Fault::new("characters", "must be one line, without control characters")),
            false => Ok(text),
        };
        match Text::up_to(LONGEST).check(asked).and_then(one_line) {
            Ok(text) => Self(Some(Wanted { folded: folded(&text), text })),
            Err(Fault { code, message }) => {
                faults.push(FieldError::new(format!("query:{}", Self::NAME), code, message));
                Self(None)
            }
        }
    }

    /// Whether it stands somewhere in one of these.
    #[must_use]
    pub fn is_in(&self, names: &[&str]) -> bool {
        self.0.as_ref().is_none_or(|it| names.iter().any(|name| folded(name).contains(&it.folded)))
    }

    /// Whether it is this, letter by letter.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|it| it.text == name)
    }
}

/// Without the difference between capitals and small letters: letter by letter, so that what stands in a name is found by any
/// part of it. Accents count.
fn folded(text: &str) -> String {
    // What a dotted capital I leaves of its dot, and the sigma that only the end of a word has.
    let small = text.chars().flat_map(char::to_lowercase).filter(|letter| *letter != '\u{307}');
    small.map(|letter| if letter == 'ς' { 'σ' } else { letter }).collect()
}

impl Paging {
    /// A page of a list, and the position to go on from. `read` reads items of the list, and `wanted` makes of each what is to be
    /// shown, if it is: found by the search, and the caller's to see. Where there is no search, as many are read as are shown.
    ///
    /// # Errors
    /// 422 `invalid_cursor`, and what `read` fails with.
    pub async fn look_through<T, U, P, F>(
        &self,
        search: &Search,
        confines: &str,
        read: impl Fn(PageRequest<P>) -> F,
        position: impl Fn(&T) -> P,
        wanted: impl Fn(T) -> Option<U>,
    ) -> Result<(Vec<U>, Option<String>), Refused>
    where
        P: FromStr + Display,
        F: Future<Output = Result<Page<T>, StoreError>>,
    {
        let page = self.page(confines)?;
        let (shown, position) = look_through(page, search.0.is_some(), read, position, wanted).await?;
        Ok((shown, position.map(|position| position.to_string())))
    }
}

async fn look_through<T, U, P, F>(
    PageRequest { limit, mut after }: PageRequest<P>,
    is_search: bool,
    read: impl Fn(PageRequest<P>) -> F,
    position: impl Fn(&T) -> P,
    wanted: impl Fn(T) -> Option<U>,
) -> Result<(Vec<U>, Option<P>), StoreError>
where
    F: Future<Output = Result<Page<T>, StoreError>>,
{
    let (mut shown, mut last_shown, mut seen) = (Vec::new(), None, 0);
    loop {
        let Page { items, more } =
            read(PageRequest { limit: if is_search { AT_ONCE } else { limit }, after }).await?;
        seen += items.len();
        after = items.last().map(&position);
        for item in items {
            let at = position(&item);
            let Some(item) = wanted(item) else { continue };
            if shown.len() == limit {
                return Ok((shown, last_shown));
            }
            shown.push(item);
            last_shown = Some(at);
        }
        if !more {
            return Ok((shown, None));
        }
        if !is_search || seen >= LOOKED_THROUGH {
            return Ok((shown, after));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Those of a list of so many numbers that `every` divides, as a page shows them; the position to go on from; and how many
    /// reads it took.
    async fn page(
        length: usize,
        every: usize,
        limit: usize,
        after: Option<usize>,
        is_search: bool,
    ) -> (Vec<usize>, Option<usize>, usize) {
        let reads = AtomicUsize::new(0);
        let read = |page: PageRequest<usize>| {
            reads.fetch_add(1, Ordering::Relaxed);
            let first = page.after.map_or(0, |after| after + 1);
            let items: Vec<usize> = (first..length).take(page.limit).collect();
            let more = first + items.len() < length;
            async move { Ok(Page { items, more }) }
        };
        let wanted = |number: usize| (number % every == every - 1).then_some(number);
        let asked = PageRequest { limit, after };
        let (shown, position) = look_through(asked, is_search, read, |number| *number, wanted).await.unwrap();
        (shown, position, reads.into_inner())
    }

    #[tokio::test]
    async fn a_search_goes_on_after_what_it_has_shown_or_seen() {
        // More than fit: after the last one shown, and nothing is read beyond what tells so.
        assert_eq!(page(900, 10, 2, None, true).await, (vec![9, 19], Some(19), 1));
        assert_eq!(page(900, 300, 1, None, true).await, (vec![299], Some(299), 3));
        assert_eq!(page(900, 300, 1, Some(299), true).await, (vec![599], Some(599), 3));
        assert_eq!(page(900, 300, 1, Some(599), true).await, (vec![899], None, 2));
        // As many as fit, and no more.
        assert_eq!(page(900, 300, 3, None, true).await, (vec![299, 599, 899], None, 4));
        // A thousand are seen: after them, with what there was.
        assert_eq!(page(2_500, 1_200, 2, None, true).await, (vec![], Some(999), 4));
        assert_eq!(page(2_500, 1_200, 2, Some(999), true).await, (vec![1_199], Some(1_999), 4));
        assert_eq!(page(2_500, 1_200, 2, Some(1_999), true).await, (vec![2_399], None, 2));
        assert_eq!(page(0, 1, 2, None, true).await, (vec![], None, 1));
    }

    #[tokio::test]
    async fn a_list_reads_what_it_shows() {
        assert_eq!(page(900, 1, 2, None, false).await, (vec![0, 1], Some(1), 1));
        assert_eq!(page(900, 10, 2, None, false).await, (vec![], Some(1), 1));
        assert_eq!(page(2, 1, 2, None, false).await, (vec![0, 1], None, 1));
    }

    fn search(asked: &str) -> (Search, Vec<FieldError>) {
        let mut faults = Vec::new();
        let search = Search::read(&Values::from([("search", asked.to_owned())]), &mut faults);
        (search, faults)
    }

    #[test]
    fn letters_are_found_whatever_their_case() {
        for (asked, name) in [
            (" aDA", "Ada Lovelace"),
            ("ada", "canada@example.com"),
            ("ÉLO", "Éloïse"),
            ("ΟΔΥΣ", "ΟΔΥΣΣΕΑΣ"),
            ("οδυσσέας", "ΟΔΥΣΣΈΑΣ"),
            ("istanbul", "İSTANBUL"),
        ] {
            assert!(search(asked).0.is_in(&["", name]), "{asked} in {name}");
        }
        let (ada, _) = search("ada");
        assert!(!ada.is_in(&["Grace Hopper", "grace@example.com"]) && !ada.is_in(&[]));
        assert!(search("aB3x").0.is("aB3x") && !search("ab3x").0.is("aB3x"));
        assert!(Search::default().is_in(&[]) && Search::default().is(""));
    }

    #[test]
    fn a_search_is_a_line_of_so_many_characters() {
        for (asked, code) in
            [("", "length"), ("  ", "length"), (&*"x".repeat(101), "length"), ("a\nb", "characters")]
        {
            let faults = search(asked).1;
            assert_eq!(faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), [code], "{asked:?}");
        }
        assert!(search(&"İ".repeat(100)).1.is_empty());
    }
}
