//! Text that others chose, made harmless before it stands in a mail.

/// One line of at most `max` characters: control characters become spaces, invisible ones and those that turn the
/// direction of writing are dropped, and what would make a mail program show a link no longer does.
pub(crate) fn line(text: &str, max: usize) -> String {
    let visible = text.chars().filter(|c| !is_invisible(*c));
    let spaced: String = visible.map(|c| if c.is_control() { ' ' } else { c }).collect();
    let single = spaced.split_whitespace().collect::<Vec<_>>().join(" ").replace("://", ": ");
    if single.chars().count() <= max {
        return single;
    }
    single.chars().take(max.saturating_sub(1)).chain(std::iter::once('…')).collect()
}

/// Zero-width and directional characters, line and paragraph separators (Unicode, general categories Cf, Zl and Zp, as
/// far as they are used to deceive).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_stays_one_line_and_shows_what_it_is() {
        assert_eq!(line("Ada\r\nBcc: eve@example.com", 80), "Ada Bcc: eve@example.com");
        assert_eq!(line("  Harbor \t& Pine ", 80), "Harbor & Pine");
        assert_eq!(line("pay at https://evil.example/now", 80), "pay at https: evil.example/now");
        assert_eq!(line("moc.\u{202e}live", 80), "moc.live");
        assert_eq!(line("Größe", 4), "Grö…");
    }

    proptest! {
        #[test]
        fn no_text_adds_a_line_or_exceeds_its_bound(text in any::<String>(), max in 1_usize..120) {
            let line = line(&text, max);
            prop_assert!(line.chars().count() <= max);
            prop_assert!(!line.chars().any(|c| c.is_control() || is_invisible(c)));
        }
    }
}
