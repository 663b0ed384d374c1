//! A call as the SDK sends it, and what it asks for.
//!
//! The operation is told by the method, the path and the query. A parameter or header that would change what is asked
//! for and that is not understood here is refused: nothing is done by halves.

use std::collections::BTreeMap;
use std::ops::Range;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, header};

use super::names::unescaped;
use super::refusal::Refusal;

/// What a client sends.
#[derive(Debug, Clone)]
pub struct Call {
    /// The HTTP method.
    pub method: String,
    /// The path as it was sent, escaped.
    pub path: String,
    /// The query as it was sent, without the question mark.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Call {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The content's encodings, first applied first; they may come in several headers.
    pub(super) fn encodings(&self) -> impl Iterator<Item = &str> {
        let values = self.headers.get_all(header::CONTENT_ENCODING).iter();
        let values = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        values.map(str::trim).filter(|encoding| !encoding.is_empty())
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    HeadBucket,
    ListObjects,
    GetVersioning,
    GetObjectLock,
    GetPublicAccess,
    PutObject { key: String },
    GetObject { key: String },
    HeadObject { key: String },
    DeleteObject { key: String },
    CreateUpload { key: String },
    UploadPart { key: String, upload: String, number: u16 },
    CompleteUpload { key: String, upload: String },
    AbortUpload { key: String, upload: String },
}

impl Operation {
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::HeadBucket
            | Self::ListObjects
            | Self::GetVersioning
            | Self::GetObjectLock
            | Self::GetPublicAccess => None,
            Self::PutObject { key }
            | Self::GetObject { key }
            | Self::HeadObject { key }
            | Self::DeleteObject { key }
            | Self::CreateUpload { key }
            | Self::UploadPart { key, .. }
            | Self::CompleteUpload { key, .. }
            | Self::AbortUpload { key, .. } => Some(key),
        }
    }

    /// The name that S3 gives it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::HeadBucket => "HeadBucket",
            Self::ListObjects => "ListObjectsV2",
            Self::GetVersioning => "GetBucketVersioning",
            Self::GetObjectLock => "GetObjectLockConfiguration",
            Self::GetPublicAccess => "GetPublicAccessBlock",
            Self::PutObject { .. } => "PutObject",
            Self::GetObject { .. } => "GetObject",
            Self::HeadObject { .. } => "HeadObject",
            Self::DeleteObject { .. } => "DeleteObject",
            Self::CreateUpload { .. } => "CreateMultipartUpload",
            Self::UploadPart { .. } => "UploadPart",
            Self::CompleteUpload { .. } => "CompleteMultipartUpload",
            Self::AbortUpload { .. } => "AbortMultipartUpload",
        }
    }
}

/// A call that has been read.
#[derive(Debug)]
pub(in crate::engines) struct Request {
    pub(super) bucket: String,
    pub(super) operation: Operation,
    pub(super) query: Query,
}

/// The parameters of a query.
#[derive(Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parameters = text.split('&').filter(|parameter| !parameter.is_empty());
        let parameters = parameters.map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            Some((unescaped(name)?, unescaped(value)?))
        });
        parameters.collect::<Option<_>>().map(Self)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether there is no parameter but these, those of a signature and those that only name the operation.
    fn has_only(&self, understood: &[&str]) -> bool {
        self.0
            .keys()
            .all(|name| name == "x-id" || name.starts_with("X-Amz-") || understood.contains(&name.as_str()))
    }
}

/// Headers that ask for what is not here.
const UNKNOWN_HERE: &[&str] = &[
    "if-match",
    "if-modified-since",
    "if-unmodified-since",
    "x-amz-bypass-governance-retention",
    "x-amz-copy-source",
    "x-amz-write-offset-bytes",
];

/// The longest key, in bytes.
const LONGEST_KEY: usize = 1024;
/// The most parts of an upload.
const MOST_PARTS: u16 = 10_000;

impl Request {
    pub(in crate::engines) fn read(call: &Call) -> Result<Self, Refusal> {
        let unreadable = || Refusal::new(400, "InvalidURI", "Couldn't parse the specified URI.");
        let query = Query::parse(&call.query).ok_or_else(unreadable)?;
        let path = call.path.strip_prefix('/').ok_or_else(unreadable)?;
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let bucket = unescaped(bucket).ok_or_else(unreadable)?;
        let key = unescaped(key).ok_or_else(unreadable)?;
        if key.len() > LONGEST_KEY {
            return Err(Refusal::new(400, "KeyTooLongError", "Your key is too long."));
        }
        if let Some(header) = UNKNOWN_HERE.iter().find(|header| call.headers.contains_key(**header)) {
            return Err(Refusal::not_implemented(header));
        }
        let (operation, understood): (_, &[&str]) = if key.is_empty() {
            match call.method.as_str() {
                "HEAD" => (Operation::HeadBucket, &[]),
                "GET" if query.get("list-type") == Some("2") => (
                    Operation::ListObjects,
                    &["list-type", "prefix", "max-keys", "start-after", "continuation-token"],
                ),
                "GET" if query.get("versioning").is_some() => (Operation::GetVersioning, &["versioning"]),
                "GET" if query.get("object-lock").is_some() => (Operation::GetObjectLock, &["object-lock"]),
                "GET" if query.get("publicAccessBlock").is_some() => {
                    (Operation::GetPublicAccess, &["publicAccessBlock"])
                }
                _ => return Err(Refusal::not_implemented("this operation on a bucket")),
            }
        } else {
            let upload = query.get("uploadId").map(str::to_owned);
            match (call.method.as_str(), upload) {
                ("PUT", None) => (Operation::PutObject { key }, &[]),
                ("PUT", Some(upload)) => {
                    let number = query.get("partNumber").and_then(|number| number.parse::<u16>().ok());
                    let number =
                        number.filter(|number| (1..=MOST_PARTS).contains(number)).ok_or_else(|| {
                            let said = "Part number must be an integer between 1 and 10000, inclusive";
                            Refusal::new(400, "InvalidArgument", said)
                        })?;
                    (Operation::UploadPart { key, upload, number }, &["uploadId", "partNumber"])
                }
                ("GET", None) => {
                    (Operation::GetObject { key }, &["response-content-type", "response-content-disposition"])
                }
                ("HEAD", None) => (Operation::HeadObject { key }, &[]),
                ("DELETE", None) => (Operation::DeleteObject { key }, &[]),
                ("DELETE", Some(upload)) => (Operation::AbortUpload { key, upload }, &["uploadId"]),
                ("POST", Some(upload)) => (Operation::CompleteUpload { key, upload }, &["uploadId"]),
                // What else is posted here with a body was not meant for S3.
                ("POST", None) if query.get("uploads").is_some() && call.body.is_empty() => {
                    (Operation::CreateUpload { key }, &["uploads"])
                }
                _ => return Err(Refusal::not_implemented("this operation on an object")),
            }
        };
        if !query.has_only(understood) {
            return Err(Refusal::not_implemented("a parameter of this request"));
        }
        Ok(Self { bucket, operation, query })
    }
}

/// What an object's content is sent with and kept with.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) content: Bytes,
    /// The checksum that was sent, with the name of its header; it has been found right.
    pub(super) checksum: Option<(String, String)>,
    /// Its SHA-256.
    pub(super) digest: [u8; 32],
}

/// The transfer encoding that is no part of an object.
pub(super) const CHUNKED: &str = "aws-chunked";
const SHA256: &str = "x-amz-checksum-sha256";
const CRC32: &str = "x-amz-checksum-crc32";

impl Payload {
    /// The body without its transfer encoding, held against the checksums that came with it.
    pub(super) fn read(call: &Call) -> Result<Self, Refusal> {
        let is_chunked = call.encodings().any(|encoding| encoding == CHUNKED);
        let (content, trailers) = if is_chunked {
            let (content, trailers) = dechunked(&call.body).ok_or_else(|| {
                Refusal::new(400, "IncompleteBody", "The request body terminated unexpectedly")
            })?;
            let declared = call.header("x-amz-decoded-content-length");
            if declared.is_some_and(|declared| declared.parse() != Ok(content.len())) {
                let said =
                    "You did not provide the number of bytes specified by the Content-Length HTTP header";
                return Err(Refusal::new(400, "IncompleteBody", said));
            }
            (content, trailers)
        } else {
            (call.body.clone(), BTreeMap::new())
        };
        let mut digest = [0; 32];
        digest.copy_from_slice(digest::digest(&digest::SHA256, &content).as_ref());

        let sent = |name: &str| trailers.get(name).map(String::as_str).or_else(|| call.header(name));
        for unknown in ["x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha1"] {
            if sent(unknown).is_some() {
                return Err(Refusal::not_implemented(unknown));
            }
        }
        let mut checksum = None;
        let actual: [(&str, &dyn Fn() -> String); 2] = [
            (CRC32, &|| STANDARD.encode(crc32fast::hash(&content).to_be_bytes())),
            (SHA256, &|| STANDARD.encode(digest)),
        ];
        for (name, actual) in actual {
            let Some(sent) = sent(name) else { continue };
            if sent != actual() {
                let said = format!("The {name} you specified did not match what we received.");
                return Err(Refusal::new(400, "BadDigest", said));
            }
            checksum = Some((name.to_owned(), sent.to_owned()));
        }
        Ok(Self { content, checksum, digest })
    }
}

/// The content of an `aws-chunked` body, and its trailers. Signatures of chunks are skipped.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>
fn dechunked(body: &Bytes) -> Option<(Bytes, BTreeMap<String, String>)> {
    let mut content = Vec::with_capacity(body.len());
    let mut rest = body.as_ref();
    loop {
        let (line, after) = line(rest)?;
        let size = line.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            rest = after;
            break;
        }
        content.extend_from_slice(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let mut trailers = BTreeMap::new();
    while let Some((line, after)) = line(rest) {
        if let Some((name, value)) = line.split_once(':') {
            trailers.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
        rest = after;
    }
    Some((content.into(), trailers))
}

fn line(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.windows(2).position(|two| two == b"\r\n")?;
    let (line, after) = text.split_at_checked(end)?;
    Some((std::str::from_utf8(line).ok()?, after.get(2..)?))
}

/// The part of `size` bytes that a `Range` header asks for; `None` when it asks for all of it or cannot be read, which
/// S3 takes for the same.
pub(super) fn range(header: Option<&str>, size: u64) -> Result<Option<Range<u64>>, Refusal> {
    let asked = header.and_then(|header| header.trim().strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) = asked else { return Ok(None) };
    let (first, last) = (first.trim(), last.trim());
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if last >= first => first..size.min(last.saturating_add(1)),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(length)) if first.is_empty() => match length {
            0 => size..size,
            _ => size.saturating_sub(length)..size,
        },
        _ => return Ok(None),
    };
    if range.start >= range.end {
        return Err(Refusal::new(416, "InvalidRange", "The requested range is not satisfiable")
            .about("RangeRequested", header.unwrap_or_default())
            .about("ActualObjectSize", size.to_string()));
    }
    Ok(Some(range))
}

/// A part as the request to complete an upload names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NamedPart {
    pub(super) number: u16,
    pub(super) etag: String,
    pub(super) sha256: Option<String>,
}

/// The parts in the body of a `CompleteMultipartUpload`.
pub(super) fn named_parts(body: &[u8]) -> Option<Vec<NamedPart>> {
    let text = std::str::from_utf8(body).ok()?;
    let parts = text.split("<Part>").skip(1).map(|part| {
        Some(NamedPart {
            number: element(part, "PartNumber")?.trim().parse().ok()?,
            etag: element(part, "ETag")?,
            sha256: element(part, "ChecksumSHA256"),
        })
    });
    parts.collect::<Option<Vec<_>>>().filter(|parts| !parts.is_empty())
}

fn element(text: &str, name: &str) -> Option<String> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = after.split_once(&format!("</{name}>"))?;
    Some(value.replace("&quot;", "\"").replace("&#34;", "\"").replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_trailers_read() {
        let body = "5;chunk-signature=ab\r\nhello\r\n1\r\n!\r\n0\r\nX-Amz-Checksum-Crc32:AAAA\r\n\
                    x-amz-trailer-signature:cd\r\n\r\n";
        let (content, trailers) = dechunked(&Bytes::from_static(body.as_bytes())).unwrap();
        assert_eq!(content, "hello!");
        assert_eq!(trailers[CRC32], "AAAA");
        assert!(dechunked(&Bytes::from_static(b"9\r\nshort\r\n0\r\n\r\n")).is_none());
        assert!(dechunked(&Bytes::from_static(b"5\r\nhello\r\n")).is_none());
    }

    #[test]
    fn ranges_are_read_as_s3_reads_them() {
        let of = |header: &str| range(Some(header), 10).map_err(|refusal| refusal.code);
        assert_eq!(of("bytes=2-4"), Ok(Some(2..5)));
        assert_eq!(of("bytes=2-400"), Ok(Some(2..10)));
        assert_eq!(of("bytes=7-"), Ok(Some(7..10)));
        assert_eq!(of("bytes=-3"), Ok(Some(7..10)));
        assert_eq!(of("bytes=-30"), Ok(Some(0..10)));
        assert_eq!(of("bytes=4-2"), Ok(None));
        assert_eq!(of("lines=1-2"), Ok(None));
        assert_eq!(of("bytes=10-"), Err("InvalidRange"));
        assert_eq!(of("bytes=-0"), Err("InvalidRange"));
        assert_eq!(range(Some("bytes=0-0"), 0).unwrap_err().code, "InvalidRange");
        assert_eq!(range(None, 0).unwrap(), None);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let read = |method: &str, target: &str, body: &'static str| {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let call = Call {
                method: method.to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                headers: HeaderMap::new(),
                body: Bytes::from_static(body.as_bytes()),
            };
            Request::read(&call).map(|request| request.operation).map_err(|refusal| refusal.code)
        };
        let key = || "a b/ü".to_owned();
        assert_eq!(
            read("GET", "/bucket/a%20b/%C3%BC?x-id=GetObject", ""),
            Ok(Operation::GetObject { key: key() })
        );
        assert_eq!(
            read("POST", "/bucket/a%20b/%c3%bc?uploads", ""),
            Ok(Operation::CreateUpload { key: key() })
        );
        assert_eq!(read("POST", "/bucket/a?uploads", "{}"), Err("NotImplemented"));
        assert_eq!(read("GET", "/bucket/a?versionId=1", ""), Err("NotImplemented"));
        assert_eq!(read("GET", "/bucket?list-type=2&delimiter=/", ""), Err("NotImplemented"));
        assert_eq!(read("DELETE", "/bucket", ""), Err("NotImplemented"));
        assert_eq!(read("GET", "/bucket/%ff", ""), Err("InvalidURI"));
        assert_eq!(read("PUT", "/bucket/a?uploadId=x&partNumber=0", ""), Err("InvalidArgument"));
        assert_eq!(read("PUT", &format!("/bucket/{}", "a".repeat(1025)), ""), Err("KeyTooLongError"));
    }

    #[test]
    fn parts_are_read_from_xml() {
        let body =
            b"<CompleteMultipartUpload><Part><ChecksumSHA256>x=</ChecksumSHA256><ETag>&quot;a&quot;</ETag>\
                     <PartNumber>1</PartNumber></Part><Part><ETag>b</ETag><PartNumber>2</PartNumber></Part>\
                     </CompleteMultipartUpload>";
        let parts = named_parts(body).unwrap();
        assert_eq!(
            parts[0],
            NamedPart { number: 1, etag: "\"a\"".to_owned(), sha256: Some("x=".to_owned()) }
        );
        assert_eq!((parts[1].number, parts[1].sha256.as_deref()), (2, None));
        assert_eq!(named_parts(b"{}"), None);
    }
}
