//! S3, as far as functions use it: objects in buckets that the template declares, uploads in parts, and links that work
//! for a while.
//!
//! Understands what the AWS SDK sends with the bucket in the path: `PutObject`, `GetObject` with ranges, `HeadObject`,
//! `HeadBucket`, `DeleteObject`, `ListObjectsV2`, and `CreateMultipartUpload`, `UploadPart`, `CompleteMultipartUpload`,
//! `AbortMultipartUpload`; and says how a bucket is set up (`GetBucketVersioning`, `GetObjectLockConfiguration`,
//! `GetPublicAccessBlock`). Everything else is refused as not implemented. Checksums (SHA-256, CRC-32) are checked, in
//! headers and in the trailers of chunked bodies.
//!
//! Object Lock is stricter here than there. S3 answers a deletion with a marker in front of the object and a second
//! upload with a second version, and only refuses to remove versions; nothing here may count on either, so that a
//! bucket with Object Lock refuses both. The same object once more is taken and changes nothing, so that a call whose
//! answer was lost can be repeated.
//!
//! Has no versions, no access rules and no lifecycle: nothing expires by itself.

mod buckets;
mod names;
mod presigned;
mod refusal;
mod request;
mod shelf;

use http::{HeaderMap, header};

pub use buckets::Buckets;
pub use request::Call;
pub use shelf::Content;

pub(super) use presigned::is_signed as is_link;
use request::Operation;
pub(super) use request::Request;
pub(super) use shelf::chunks;

/// How the scope of every signature for S3 ends.
const SCOPE: &str = "/s3/aws4_request";

/// The answer to a [`Call`].
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers, the length of the body among them where there is one.
    pub headers: HeaderMap,
    /// The body.
    pub content: Content,
}

impl Reply {
    /// An answer that an order of faults has given.
    pub(super) fn ordered(answer: super::Answer) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/xml"));
        Self { status: answer.status, headers, content: Content::Bytes(answer.body) }
    }

    /// The answer to a call that was not brought to its end.
    /// The answer to somebody whose role does not allow it.
    pub(super) fn forbidden(why: String) -> Self {
        refusal::Refusal::new(403, "AccessDenied", why).reply()
    }

    pub(super) fn failed(error: &tokio::task::JoinError) -> Self {
        refusal::Refusal::from(std::io::Error::other(error.to_string())).reply()
    }
}

/// Whether an `Authorization` header signs for S3.
pub(super) fn is_signed_for(authorization: &str) -> bool {
    super::is_signed(authorization, SCOPE)
}

impl Request {
    /// The operation's name and the bucket it is about.
    /// The key of the object, where it is about one.
    pub(super) fn key(&self) -> Option<&str> {
        self.operation.key()
    }

    pub(super) fn names(&self) -> (&'static str, &str) {
        (self.operation.name(), &self.bucket)
    }
}

#[cfg(test)]
mod tests;
