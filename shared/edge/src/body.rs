//! JSON bodies.
//!
//! Each way a body can be wrong has its own problem: not JSON (415, 400), too large (413), an unknown, missing or
//! ill-typed field (422 with a pointer). The answer never repeats what was sent.

use axum::extract::{FromRequest, OptionalFromRequest, Request};
use bytes::Bytes;
use http::header;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use problem::{FieldError, Problem};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{BODY_LIMIT, Refused};

/// A JSON body, and the bytes it was read from.
#[derive(Debug, Clone)]
pub struct Json<T> {
    /// What it says.
    pub value: T,
    /// What was sent.
    pub bytes: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(is_json);
        if !is_json {
            return Err(Refused(Problem::UnsupportedMediaType));
        }
        let bytes = read(request).await?;
        let value = parse(&bytes)?;
        Ok(Self { value, bytes })
    }
}

/// For requests all of whose fields may be left out: no body at all is as good as `{}`.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Refused> {
        if request.headers().contains_key(header::CONTENT_TYPE) {
            return <Self as FromRequest<S>>::from_request(request, state).await.map(Some);
        }
        let bytes = read(request).await?;
        if bytes.is_empty() { Ok(None) } else { Err(Refused(Problem::UnsupportedMediaType)) }
    }
}

impl<T: Default> Json<T> {
    /// What a request without a body says.
    #[must_use]
    pub fn or_default(sent: Option<Self>) -> Self {
        sent.unwrap_or_else(|| Self { value: T::default(), bytes: Bytes::new() })
    }
}

/// The bytes of a body, before anybody has looked at them: for what is signed, and parsed only if the signature is right.
#[derive(Debug, Clone)]
pub struct Raw(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        read(request).await.map(Self)
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

async fn read(request: Request) -> Result<Bytes, Refused> {
    let body = Limited::new(request.into_body(), BODY_LIMIT);
    body.collect().await.map(http_body_util::Collected::to_bytes).map_err(|error| {
        Refused(if error.is::<LengthLimitError>() {
            Problem::PayloadTooLarge
        } else {
            Problem::MalformedRequest { detail: "The body could not be read to its end.".to_owned() }
        })
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| (pointer(error.path()), error.into_inner()))
        .and_then(|value| deserializer.end().map(|()| value).map_err(|error| (String::new(), error)));
    // serde would take an array for a struct, field by field.
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    match read {
        Ok(value) if is_object => Ok(value),
        read => {
            // What is not JSON at all is that first, whichever of its fields was looked at before.
            serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| describe("", &error))?;
            Err(match read {
                Err((pointer, error)) if is_object && is_ill_typed(&error) => {
                    Problem::invalid(pointer, "type", "is not of the type this field needs")
                }
                Err((pointer, error)) if is_object => describe(&pointer, &error),
                _ => Problem::invalid("", "type", "must be an object"),
            })
        }
    }
}

/// Whether what is valid JSON met a type that it can't be. serde_json calls that an error of data, but for an enumeration
/// that is not a text an error of syntax.
fn is_ill_typed(error: &serde_json::Error) -> bool {
    error.is_syntax() && !error.to_string().starts_with("recursion limit exceeded")
}

/// The RFC 6901 pointer for a path into the body.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escape(key)),
            Segment::Enum { variant } => format!("/{}", escape(variant)),
            Segment::Unknown => String::new(),
        })
        .collect()
}

fn escape(key: &str) -> String {
    key.chars().take(64).collect::<String>().replace('~', "~0").replace('/', "~1")
}

/// The problem for what serde says. Its messages quote the offending value, so only what was expected is taken
/// from them.
fn describe(pointer: &str, error: &serde_json::Error) -> Problem {
    use serde_json::error::Category;
    let message = error.to_string();
    let position = || format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::MalformedRequest { detail: format!("The body is not valid JSON at {}.", position()) }
        }
        Category::Data => {
            if let Some(name) = quoted(&message, "unknown field `") {
                // serde_path_to_error already points at the field itself.
                let at = format!("/{}", escape(name));
                let pointer =
                    if pointer.ends_with(&at) { pointer.to_owned() } else { format!("{pointer}{at}") };
                return Problem::invalid(pointer, "unknown_field", "there is no such field");
            }
            if let Some(name) = quoted(&message, "missing field `") {
                return Problem::invalid(format!("{pointer}/{name}"), "required", "must be given");
            }
            if let Some(name) = quoted(&message, "duplicate field `") {
                return Problem::invalid(format!("{pointer}/{name}"), "duplicate", "is given twice");
            }
            let expected = message.rsplit_once(", expected ").map(|(_, rest)| rest);
            let expected = expected.map(|rest| rest.split(" at line ").next().unwrap_or(rest));
            Problem::Invalid {
                errors: vec![match expected {
                    Some(expected) => {
                        FieldError::new(pointer, "type", format!("must be {}", in_words(expected)))
                    }
                    None => FieldError::new(pointer, "format", "does not have the form this field needs"),
                }],
            }
        }
    }
}

/// What serde expects, without the names of Rust's types.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, zero or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a map" => "an object",
        "a sequence" => "an array",
        _ if expected.starts_with("struct ") => "an object",
        other => other,
    }
}

fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.strip_prefix(before)?.split('`').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Sample {
        name: String,
        #[serde(default)]
        count: Option<u8>,
        #[serde(default)]
        inner: Option<Inner>,
        #[serde(default)]
        shade: Option<Shade>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Shade {
        Light,
        Dark,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Inner {
        list: Vec<u8>,
    }

    fn fault(body: &str) -> (String, &'static str, String) {
        match parse::<Sample>(body.as_bytes()) {
            Err(Problem::Invalid { errors }) => {
                let error = errors.into_iter().next().unwrap();
                (error.pointer, error.code, error.message)
            }
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn each_fault_is_pointed_at() {
        assert_eq!(fault("{}"), ("/name".into(), "required", "must be given".into()));
        assert_eq!(fault(r#"{"name":"x","nme":1}"#).0, "/nme");
        assert_eq!(fault(r#"{"name":"x","nme":1}"#).1, "unknown_field");
        assert_eq!(fault(r#"{"name":5}"#), ("/name".into(), "type", "must be a string".into()));
        assert_eq!(fault(r#"{"name":"x","count":300}"#).2, "must be a whole number, zero or more");
        assert_eq!(fault(r#"{"name":"x","inner":{"list":[1,"secret"]}}"#).0, "/inner/list/1");
        assert_eq!(fault(r#"{"name":"x","inner":{"a/b":1}}"#).0, "/inner/a~1b");
        assert_eq!(fault(r#"{"name":"x","shade":"red"}"#).2, "must be `light` or `dark`");
        for shade in ["5", "true", "[]"] {
            let (pointer, code, _) = fault(&format!(r#"{{"name":"x","shade":{shade}}}"#));
            assert_eq!((pointer.as_str(), code), ("/shade", "type"));
        }
        assert_eq!(fault("[]").1, "type");
        assert_eq!(fault(r#"["x",1,null]"#).1, "type");
        assert!(!fault(r#"{"name":"x","count":"sk_live_secret"}"#).2.contains("secret"));
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        for body in ["", "{", "nonsense", r#"{"name":"x"} trailing"#, "\u{0}"] {
            assert!(
                matches!(parse::<Sample>(body.as_bytes()), Err(Problem::MalformedRequest { .. })),
                "{body}"
            );
        }
        let deep = format!("{}1{}", r#"{"name":"#.repeat(10_000), "}".repeat(10_000));
        assert!(parse::<serde_json::Value>(deep.as_bytes()).is_err());
    }

    #[test]
    fn json_is_declared_as_such() {
        assert!(is_json("application/json") && is_json("Application/JSON; charset=utf-8"));
        assert!(!is_json("text/plain") && !is_json("application/jsonp") && !is_json(""));
    }
}
