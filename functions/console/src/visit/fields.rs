//! A form that was sent.

use std::ops::Deref;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};

use super::pairs::Pairs;
use crate::api::{Failure, Ours};

/// What the fields of a form hold. There is one only where the form came from a page of ours.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Arc<Pairs>);

impl Deref for Fields {
    type Target = Pairs;

    fn deref(&self) -> &Pairs {
        &self.0
    }
}

pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Fields, Failure> {
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if media_type != "application/x-www-form-urlencoded" {
        return Err(Ours::Malformed.into());
    }
    let body = axum::body::to_bytes(body, edge::BODY_LIMIT).await.map_err(|_| Ours::Malformed)?;
    Ok(Fields(Arc::new(Pairs::parse(&body))))
}

impl Fields {
    /// Whether a box is ticked.
    pub(crate) fn is_ticked(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }

    /// The lines of a text field, and what stands between commas, without what is empty.
    pub(crate) fn lines(&self, name: &str) -> Vec<&str> {
        self.get(name).split(['\n', ',']).map(str::trim).filter(|line| !line.is_empty()).collect()
    }

    /// What names the submission: sent twice, a form is carried out once.
    pub(crate) fn once(&self) -> &str {
        self.get(crate::view::ONCE)
    }
}

#[cfg(test)]
impl FromIterator<(&'static str, &'static str)> for Fields {
    fn from_iter<I: IntoIterator<Item = (&'static str, &'static str)>>(fields: I) -> Self {
        Self(Arc::new(fields.into_iter().collect()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Ours::Forged.into())
    }
}
