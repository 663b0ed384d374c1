//! Pointers into JSON: RFC 6901, in its one canonical spelling.

use std::fmt::Write as _;

/// Goes down a document and always knows where it is.
#[derive(Default)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Runs `inside` with the path to the field `name`.
    pub(crate) fn field<T>(&mut self, name: &str, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.with(|path| path.push_str(&name.replace('~', "~0").replace('/', "~1")), inside)
    }

    /// Runs `inside` with the path to element `index`.
    pub(crate) fn element<T>(&mut self, index: usize, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.with(
            |path| {
                // Writing to a string does not fail.
                let _ = write!(path, "{index}");
            },
            inside,
        )
    }

    fn with<T>(&mut self, token: impl FnOnce(&mut String), inside: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.0.len();
        self.0.push('/');
        token(&mut self.0);
        let result = inside(self);
        self.0.truncate(length);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let mut path = Path::default();
        let inner = path.field("a/b~c", |path| path.element(7, |path| path.as_str().to_owned()));
        assert_eq!(inner, "/a~1b~0c/7");
        assert_eq!(path.as_str(), "");
        let value = serde_json::json!({"a/b~c": [0, 0, 0, 0, 0, 0, 0, "found"]});
        assert_eq!(value.pointer(&inner), Some(&"found".into()));
    }
}
