//! Keys of objects as names of files.
//!
//! Promises that different keys have different files, also where the file system knows no case, that no file is where
//! another key needs a directory, and that no key leads out of its directory, whatever it says: every component ends in
//! a mark, so that none is `.` or `..`, and what is not a small letter, a digit or one of `._-` is escaped.

use std::fmt::Write as _;

/// File systems take 255 bytes; a key has up to 1,024 and may have no slash.
const LONGEST: usize = 200;

/// The key ends here: a file.
const END: char = '=';
/// A slash follows.
const SLASH: char = '+';
/// The text goes on in the next component.
const MORE: char = '~';

/// The file of the object with this key, relative to its bucket's directory.
pub(super) fn file(key: &str) -> String {
    let mut path = String::with_capacity(key.len() + 8);
    let (directories, last) = key.rsplit_once('/').map_or((None, key), |(before, last)| (Some(before), last));
    for segment in directories.into_iter().flat_map(|it| it.split('/')) {
        push(&mut path, segment, SLASH);
    }
    push(&mut path, last, END);
    path
}

/// The directory that holds all objects whose keys begin with `prefix`, and maybe others; empty for the bucket's own.
pub(super) fn directory(prefix: &str) -> String {
    let mut path = String::new();
    if let Some((before, _)) = prefix.rsplit_once('/') {
        for segment in before.split('/') {
            push(&mut path, segment, SLASH);
        }
    }
    path
}

/// The key of the object in this file; `None` when it is none of ours.
pub(super) fn key(file: &str) -> Option<String> {
    let mut escaped = String::with_capacity(file.len());
    let mut components = file.split('/').peekable();
    while let Some(component) = components.next() {
        let is_last = components.peek().is_none();
        if let Some(text) = component.strip_suffix(END).filter(|_| is_last) {
            escaped.push_str(text);
        } else if let Some(text) = component.strip_suffix(SLASH).filter(|_| !is_last) {
            escaped.push_str(text);
            escaped.push('/');
        } else {
            escaped.push_str(component.strip_suffix(MORE).filter(|_| !is_last)?);
        }
    }
    unescaped(&escaped)
}

/// Text with `%20` and the like turned into what they stand for; `None` when that is not UTF-8.
pub(super) fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [] => return String::from_utf8(bytes).ok(),
            [b'%', high, low, after @ ..] => {
                let digit = |digit: u8| char::from(digit).to_digit(16);
                bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
                rest = after;
            }
            [b'%', ..] => return None,
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
}

/// Appends one segment of a key, in as many components as it takes.
fn push(path: &mut String, segment: &str, mark: char) {
    if !path.is_empty() {
        path.push('/');
    }
    let mut length = 0;
    for byte in segment.bytes() {
        if length >= LONGEST {
            path.push(MORE);
            path.push('/');
            length = 0;
        }
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-') {
            path.push(char::from(byte));
            length += 1;
        } else {
            // Writing to a String cannot fail.
            let _ = write!(path, "%{byte:02x}");
            length += 3;
        }
    }
    path.push(mark);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_stay_readable_and_inside() {
        assert_eq!(file("org_1/2026-11/export.csv"), "org_1+/2026-11+/export.csv=");
        assert_eq!(file("../../etc/passwd"), "..+/..+/etc+/passwd=");
        assert_eq!(file("a//b/"), "a+/+/b+/=");
        assert_eq!(file("Größe"), "%47r%c3%b6%c3%9fe=");
        assert_ne!(file("A").to_lowercase(), file("a"));
        assert_eq!(directory("org_1/2026-"), "org_1+");
        assert_eq!(directory("org_1"), "");
        assert_eq!(key("stray.tmp"), None);
    }

    proptest! {
        #[test]
        fn every_key_comes_back_and_is_under_its_prefixes(key_ in ".{1,300}(/.{0,300}){0,3}", cut in 0usize..300) {
            let path = file(&key_);
            prop_assert_eq!(key(&path), Some(key_.clone()));
            for component in path.split('/') {
                prop_assert!(component.len() <= LONGEST + 3 && component != "." && component != "..");
            }
            let prefix: String = key_.chars().take(cut).collect();
            let directory = directory(&prefix);
            let is_below = path.strip_prefix(directory.as_str()).is_some_and(|rest| rest.starts_with('/'));
            prop_assert!(directory.is_empty() || is_below);
        }
    }
}
