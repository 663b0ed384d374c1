//! The keys that the user trusts: given as they are, or in files.

use std::path::Path;

use tlog::{InvalidKey, VerifierKey};

/// Why an argument gives no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Neither a key nor the name of a file.
    #[error("`{argument}` is neither a key nor a file with keys")]
    Argument {
        /// What was given.
        argument: String,
        /// Why it is no key.
        source: InvalidKey,
    },
    /// The file could not be read.
    #[error("the file of keys `{file}` cannot be read")]
    File {
        /// Its name.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A line of the file is not a key.
    #[error("line {line} of `{file}` is not a key")]
    Line {
        /// Its name.
        file: String,
        /// The line, from 1.
        line: usize,
        /// Why it is no key.
        source: InvalidKey,
    },
    /// The file has no keys in it.
    #[error("there are no keys in `{0}`")]
    Empty(String),
}

/// The keys of a `--key` argument: a key, or a file with one key a line. Empty lines, and lines that begin with `#`, say
/// nothing.
///
/// # Errors
/// [`KeyError`] if it is neither.
pub fn read_keys(argument: &str) -> Result<Vec<VerifierKey>, KeyError> {
    let not_a_key = match argument.parse() {
        Ok(key) => return Ok(vec![key]),
        Err(error) => error,
    };
    if !Path::new(argument).exists() {
        return Err(KeyError::Argument { argument: argument.to_owned(), source: not_a_key });
    }
    let file = || argument.to_owned();
    let text = std::fs::read_to_string(argument).map_err(|source| KeyError::File { file: file(), source })?;
    let keys = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, key)| key.parse().map_err(|source| KeyError::Line { file: file(), line, source }))
        .collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(KeyError::Empty(file())) } else { Ok(keys) }
}
