//! S3's errors, and the XML they and its other answers are written in.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use super::{Content, Reply};

/// An error as S3 gives it.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
#[derive(Debug)]
pub(in crate::engines) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    message: String,
    about: Vec<(&'static str, String)>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), about: Vec::new() }
    }

    pub(super) fn not_implemented(what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("The local platform does not implement {what}."))
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    /// Adds an element.
    pub(super) fn about(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.about.push((name, value.into()));
        self
    }

    pub(in crate::engines) fn reply(self) -> Reply {
        let mut text = Xml::new("Error");
        text.element("Code", self.code);
        text.element("Message", &self.message);
        for (name, value) in &self.about {
            text.element(name, value);
        }
        text.reply(self.status)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "the object store's files cannot be used");
        Self::new(500, "InternalError", "We encountered an internal error. Please try again.")
    }
}

/// A document that is being written.
pub(super) struct Xml {
    root: &'static str,
    text: String,
}

impl Xml {
    pub(super) fn new(root: &'static str) -> Self {
        let namespace =
            if root == "Error" { "" } else { " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"" };
        Self { root, text: format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}{namespace}>") }
    }

    pub(super) fn element(&mut self, name: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "<{name}>{}</{name}>", escaped(value));
    }

    /// An element that has elements.
    pub(super) fn group(&mut self, name: &str, elements: impl FnOnce(&mut Self)) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
        elements(self);
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    pub(super) fn reply(mut self, status: u16) -> Reply {
        let _ = write!(self.text, "</{}>", self.root);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        Reply { status, headers, content: Content::Bytes(Bytes::from(self.text)) }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // As a reference, or a reader makes a line feed of it.
            '\r' => out.push_str("&#13;"),
            other => out.push(other),
        }
    }
    out
}
