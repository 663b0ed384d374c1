//! Buckets and their objects, and uploads that are not complete yet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use chrono::DateTime;
use clock::{Clock, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::refusal::{Refusal, Xml};
use super::request::{CHUNKED, NamedPart, Payload, named_parts, range};
use super::shelf::{Found, Shelf};
use super::{Call, Content, Operation, Reply, Request, names, presigned};
use crate::engines::EngineError;

/// Every part of an upload but the last has this many bytes at least.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const SMALLEST_PART: u64 = 5 * 1024 * 1024;
/// The most objects in one answer.
const PAGE: usize = 1000;
/// Below it are uploads; no bucket's directory has such a name.
const UPLOADS: &str = ".uploads";
const SHA256: &str = "x-amz-checksum-sha256";
/// What S3 says of an object that came without a content type.
const UNTYPED: &str = "binary/octet-stream";

/// The buckets there are.
pub struct Buckets {
    clock: Clock,
    shelf: Shelf,
    /// Each with whether it has Object Lock.
    buckets: RwLock<BTreeMap<String, bool>>,
    /// Held while something is looked at and then changed.
    changing: Mutex<()>,
}

/// What is known of an object or a part besides its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Facts {
    size: u64,
    /// Without quotes. Stands for the content, but is no MD5: nobody may count on that.
    etag: String,
    modified: Timestamp,
    /// Those that come back with the object.
    headers: BTreeMap<String, String>,
    checksum: Option<(String, String)>,
}

/// An upload that is not complete yet.
#[derive(Debug, Serialize, Deserialize)]
struct Upload {
    bucket: String,
    key: String,
    headers: BTreeMap<String, String>,
    /// Whether it was begun with the promise that every part has a SHA-256.
    has_checksums: bool,
}

impl Facts {
    fn reads(found: &Found) -> Result<Self, Refusal> {
        Ok(serde_json::from_slice(&found.line).map_err(std::io::Error::from)?)
    }

    fn is_same_object(&self, other: &Self) -> bool {
        (self.size, &self.etag, &self.headers) == (other.size, &other.etag, &other.headers)
    }

    fn quoted_etag(&self) -> String {
        format!("\"{}\"", self.etag)
    }
}

impl Buckets {
    pub(in crate::engines) fn in_memory(clock: Clock) -> Self {
        Self { clock, shelf: Shelf::memory(), buckets: RwLock::default(), changing: Mutex::default() }
    }

    pub(in crate::engines) fn on_disk(directory: &Path, clock: Clock) -> Result<Self, EngineError> {
        let shelf = Shelf::directory(directory).map_err(EngineError::Objects)?;
        Ok(Self { shelf, ..Self::in_memory(clock) })
    }

    /// Makes a bucket. What a bucket of this name held before is in it again.
    pub fn create(&self, name: &str, object_lock: bool) {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.insert(name.to_owned(), object_lock);
    }

    /// Answers one call.
    pub(in crate::engines) fn answer(&self, request: &Request, call: &Call) -> Reply {
        let mut reply = self.carry_out(request, call).unwrap_or_else(Refusal::reply);
        if call.method == "HEAD" {
            reply.content = Content::Bytes(Bytes::new());
        }
        reply
    }

    fn carry_out(&self, request: &Request, call: &Call) -> Result<Reply, Refusal> {
        let Request { bucket, operation, query } = request;
        presigned::check(query, call, self.clock.now())?;
        let has_lock = self.buckets.read().unwrap_or_else(PoisonError::into_inner).get(bucket).copied();
        let has_lock = has_lock.ok_or_else(|| {
            Refusal::new(404, "NoSuchBucket", "The specified bucket does not exist")
                .about("BucketName", bucket.as_str())
        })?;
        match operation {
            Operation::HeadBucket => Ok(empty(200)),
            Operation::ListObjects => self.list(request),
            Operation::GetVersioning => Ok(versioning(has_lock)),
            Operation::GetObjectLock => object_lock(has_lock),
            Operation::GetPublicAccess => Ok(public_access()),
            Operation::GetObject { key } | Operation::HeadObject { key } => self.get(request, key, call),
            Operation::PutObject { key } => self.put(bucket, has_lock, key, call),
            Operation::DeleteObject { key } => self.delete(bucket, has_lock, key),
            Operation::CreateUpload { key } => self.begin(bucket, key, call),
            Operation::UploadPart { key, upload, number } => {
                let (id, upload) = self.upload(bucket, key, upload)?;
                self.part(id, &upload, *number, call)
            }
            Operation::CompleteUpload { key, upload } => {
                let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
                let (id, upload) = self.upload(bucket, key, upload)?;
                self.complete(id, &upload, has_lock, &call.body)
            }
            Operation::AbortUpload { key, upload } => {
                let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
                let (id, _) = self.upload(bucket, key, upload)?;
                self.forget(id)?;
                Ok(empty(204))
            }
        }
    }

    fn put(&self, bucket: &str, has_lock: bool, key: &str, call: &Call) -> Result<Reply, Refusal> {
        let payload = Payload::read(call)?;
        if has_lock && payload.checksum.is_none() {
            let said = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object \
                        Lock parameters";
            return Err(Refusal::new(400, "InvalidRequest", said));
        }
        let facts = Facts {
            size: payload.content.len() as u64,
            etag: short(&payload.digest),
            modified: self.clock.now(),
            headers: kept_headers(call),
            checksum: payload.checksum,
        };
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let name = object(bucket, key);
        if let Some(existing) = self.shelf.get(&name)? {
            match call.header("if-none-match") {
                None => {}
                Some("*") => {
                    let said = "At least one of the pre-conditions you specified did not hold";
                    return Err(
                        Refusal::new(412, "PreconditionFailed", said).about("Condition", "If-None-Match")
                    );
                }
                Some(_) => return Err(Refusal::not_implemented("If-None-Match with an entity tag")),
            }
            if has_lock {
                let existing = Facts::reads(&existing)?;
                return if existing.is_same_object(&facts) { Ok(stored(&existing)) } else { Err(locked()) };
            }
        }
        self.shelf.put(&name, &line(&facts), payload.content)?;
        Ok(stored(&facts))
    }

    fn get(&self, request: &Request, key: &str, call: &Call) -> Result<Reply, Refusal> {
        let absent = || Refusal::new(404, "NoSuchKey", "The specified key does not exist.").about("Key", key);
        let found = self.shelf.get(&object(&request.bucket, key))?.ok_or_else(absent)?;
        let facts = Facts::reads(&found)?;
        let range = range(call.header("range"), facts.size)?;
        let mut reply = empty(if range.is_some() { 206 } else { 200 });
        set(&mut reply.headers, "content-type", UNTYPED);
        for (name, value) in &facts.headers {
            set(&mut reply.headers, name, value);
        }
        for (parameter, name) in [
            ("response-content-type", "content-type"),
            ("response-content-disposition", "content-disposition"),
        ] {
            if let Some(value) = request.query.get(parameter) {
                set(&mut reply.headers, name, value);
            }
        }
        set(&mut reply.headers, "etag", &facts.quoted_etag());
        set(&mut reply.headers, "last-modified", &http_date(facts.modified));
        set(&mut reply.headers, "accept-ranges", "bytes");
        match &range {
            Some(range) => {
                let last = range.end.saturating_sub(1);
                set(
                    &mut reply.headers,
                    "content-range",
                    &format!("bytes {}-{last}/{}", range.start, facts.size),
                );
            }
            // A part has another checksum than the whole.
            None => {
                if let Some((name, value)) =
                    facts.checksum.as_ref().filter(|_| call.header("x-amz-checksum-mode") == Some("ENABLED"))
                {
                    set(&mut reply.headers, name, value);
                }
            }
        }
        let range = range.unwrap_or(0..facts.size);
        reply.headers.insert(header::CONTENT_LENGTH, range.end.saturating_sub(range.start).into());
        reply.content = found.section(range)?;
        Ok(reply)
    }

    fn delete(&self, bucket: &str, has_lock: bool, key: &str) -> Result<Reply, Refusal> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let name = object(bucket, key);
        if has_lock && self.shelf.get(&name)?.is_some() {
            return Err(locked());
        }
        self.shelf.remove(&name)?;
        Ok(empty(204))
    }

    fn list(&self, request: &Request) -> Result<Reply, Refusal> {
        let Request { bucket, query, .. } = request;
        let invalid = |said: &str| Refusal::new(400, "InvalidArgument", said);
        let prefix = query.get("prefix").unwrap_or_default();
        let most = match query.get("max-keys") {
            None => PAGE,
            Some(text) => {
                text.parse::<usize>().map_err(|_| invalid("Provided max-keys not an integer"))?.min(PAGE)
            }
        };
        let token = query.get("continuation-token");
        let after = match token {
            None => query.get("start-after").map(str::to_owned),
            Some(token) => {
                let key = URL_SAFE_NO_PAD.decode(token).ok().and_then(|key| String::from_utf8(key).ok());
                Some(key.ok_or_else(|| invalid("The continuation token provided is incorrect"))?)
            }
        };

        let below = names::directory(prefix);
        let directory = if below.is_empty() { of(bucket) } else { format!("{}/{below}", of(bucket)) };
        let mut keys: Vec<String> = self
            .shelf
            .list(&directory)?
            .into_iter()
            .filter_map(|name| names::key(&if below.is_empty() { name } else { format!("{below}/{name}") }))
            .filter(|key| key.starts_with(prefix) && after.as_ref().is_none_or(|after| key > after))
            .collect();
        keys.sort_unstable();
        let is_truncated = most > 0 && keys.len() > most;
        keys.truncate(most);

        let mut text = Xml::new("ListBucketResult");
        text.element("Name", bucket);
        text.element("Prefix", prefix);
        text.element("MaxKeys", &most.to_string());
        text.element("KeyCount", &keys.len().to_string());
        text.element("IsTruncated", if is_truncated { "true" } else { "false" });
        if let Some(token) = token {
            text.element("ContinuationToken", token);
        }
        if let Some(last) = keys.last().filter(|_| is_truncated) {
            text.element("NextContinuationToken", &URL_SAFE_NO_PAD.encode(last));
        }
        for key in &keys {
            // It may have been removed since.
            let Some(found) = self.shelf.get(&object(bucket, key))? else { continue };
            let facts = Facts::reads(&found)?;
            text.group("Contents", |text| {
                text.element("Key", key);
                text.element("LastModified", &facts.modified.to_string());
                text.element("ETag", &facts.quoted_etag());
                text.element("Size", &facts.size.to_string());
                text.element("StorageClass", "STANDARD");
            });
        }
        Ok(text.reply(200))
    }

    fn begin(&self, bucket: &str, key: &str, call: &Call) -> Result<Reply, Refusal> {
        let has_checksums = match call.header("x-amz-checksum-algorithm") {
            None => false,
            Some("SHA256") if call.header("x-amz-checksum-type").is_none_or(|kind| kind == "COMPOSITE") => {
                true
            }
            Some(_) => return Err(Refusal::not_implemented("this checksum of an upload in parts")),
        };
        let id = Uuid::new_v4();
        let upload = Upload {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            headers: kept_headers(call),
            has_checksums,
        };
        self.shelf.put(&format!("{}/upload", directory(id)), &line(&upload), Bytes::new())?;
        let mut text = Xml::new("InitiateMultipartUploadResult");
        text.element("Bucket", bucket);
        text.element("Key", key);
        text.element("UploadId", &id.simple().to_string());
        Ok(text.reply(200))
    }

    /// The upload of this object that has this id.
    fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<(Uuid, Upload), Refusal> {
        let absent = || {
            let said = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been \
                        aborted or completed.";
            Refusal::new(404, "NoSuchUpload", said).about("UploadId", id)
        };
        let parsed = Uuid::try_parse(id).map_err(|_| absent())?;
        let found = self.shelf.get(&format!("{}/upload", directory(parsed)))?.ok_or_else(absent)?;
        let upload: Upload = serde_json::from_slice(&found.line).map_err(std::io::Error::from)?;
        if upload.bucket != bucket || upload.key != key {
            return Err(absent());
        }
        Ok((parsed, upload))
    }

    fn part(&self, id: Uuid, upload: &Upload, number: u16, call: &Call) -> Result<Reply, Refusal> {
        let payload = Payload::read(call)?;
        if upload.has_checksums && payload.checksum.as_ref().is_none_or(|(name, _)| name != SHA256) {
            let said = "Checksum Type mismatch occurred, expected checksum Type: sha256";
            return Err(Refusal::new(400, "InvalidRequest", said));
        }
        let facts = Facts {
            size: payload.content.len() as u64,
            etag: short(&payload.digest),
            modified: self.clock.now(),
            headers: BTreeMap::new(),
            checksum: payload.checksum,
        };
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have been completed or aborted while the part was read.
        self.upload(&upload.bucket, &upload.key, &id.simple().to_string())?;
        self.shelf.put(&part(id, number), &line(&facts), payload.content)?;
        Ok(stored(&facts))
    }

    fn complete(&self, id: Uuid, upload: &Upload, has_lock: bool, body: &[u8]) -> Result<Reply, Refusal> {
        let named = named_parts(body).ok_or_else(|| {
            let said =
                "The XML you provided was not well-formed or did not validate against our published schema";
            Refusal::new(400, "MalformedXML", said)
        })?;
        if named.windows(2).any(|two| matches!(two, [one, next] if one.number >= next.number)) {
            let said = "The list of parts was not in ascending order. Parts must be ordered by part number.";
            return Err(Refusal::new(400, "InvalidPartOrder", said));
        }
        let parts = named.iter().map(|it| self.named(id, upload, it)).collect::<Result<Vec<_>, _>>()?;
        if let Some((_, but_last)) = parts.split_last()
            && let Some(small) = but_last.iter().find(|part| part.size < SMALLEST_PART)
        {
            let said = "Your proposed upload is smaller than the minimum allowed size";
            return Err(Refusal::new(400, "EntityTooSmall", said)
                .about("ProposedSize", small.size.to_string())
                .about("MinSizeAllowed", SMALLEST_PART.to_string()));
        }
        let facts = whole(&parts, upload, self.clock.now());
        let name = object(&upload.bucket, &upload.key);
        match self.shelf.get(&name)? {
            Some(existing) if has_lock => {
                if !Facts::reads(&existing)?.is_same_object(&facts) {
                    return Err(locked());
                }
            }
            _ => {
                let contents: Vec<String> = named.iter().map(|it| part(id, it.number)).collect();
                self.shelf.join(&name, &line(&facts), &contents)?;
            }
        }
        self.forget(id)?;
        let mut text = Xml::new("CompleteMultipartUploadResult");
        text.element("Bucket", &upload.bucket);
        text.element("Key", &upload.key);
        text.element("ETag", &facts.quoted_etag());
        if let Some((_, checksum)) = &facts.checksum {
            text.element("ChecksumSHA256", checksum);
            text.element("ChecksumType", "COMPOSITE");
        }
        Ok(text.reply(200))
    }

    /// A part that was uploaded and is what the request to complete says it is.
    fn named(&self, id: Uuid, upload: &Upload, named: &NamedPart) -> Result<Facts, Refusal> {
        let invalid = || {
            let said = "One or more of the specified parts could not be found. The part may not have been uploaded, or \
                        the specified entity tag may not match the part's entity tag.";
            Refusal::new(400, "InvalidPart", said).about("PartNumber", named.number.to_string())
        };
        let found = self.shelf.get(&part(id, named.number))?.ok_or_else(invalid)?;
        let facts = Facts::reads(&found)?;
        let checksum = facts.checksum.as_ref().filter(|(name, _)| name == SHA256).map(|(_, value)| value);
        if upload.has_checksums && named.sha256.is_none() {
            let said = format!(
                "The upload was created using a sha256 checksum. The complete request must include the checksum for \
                 each part. It was missing for part {} in the request.",
                named.number
            );
            return Err(Refusal::new(400, "InvalidRequest", said));
        }
        let has_that_checksum = named.sha256.is_none() || named.sha256.as_ref() == checksum;
        if named.etag.trim_matches('"') == facts.etag && has_that_checksum {
            Ok(facts)
        } else {
            Err(invalid())
        }
    }

    /// Removes an upload and its parts.
    fn forget(&self, id: Uuid) -> Result<(), Refusal> {
        let directory = directory(id);
        // What makes it an upload goes last: a process that ends in between leaves something that can be aborted.
        let (records, parts): (Vec<_>, Vec<_>) =
            self.shelf.list(&directory)?.into_iter().partition(|name| name == "upload");
        for name in parts.iter().chain(&records) {
            self.shelf.remove(&format!("{directory}/{name}"))?;
        }
        Ok(())
    }
}

/// What is known of an object made of these parts.
fn whole(parts: &[Facts], upload: &Upload, now: Timestamp) -> Facts {
    let mut etags = Vec::new();
    let mut digests = Some(Vec::new());
    for part in parts {
        etags.extend_from_slice(part.etag.as_bytes());
        let digest = part.checksum.as_ref().filter(|(name, _)| name == SHA256);
        let digest = digest.and_then(|(_, value)| STANDARD.decode(value).ok());
        digests = digests.zip(digest).map(|(mut digests, digest)| {
            digests.extend_from_slice(&digest);
            digests
        });
    }
    let count = parts.len();
    let sha256 = |bytes: &[u8]| digest::digest(&digest::SHA256, bytes);
    Facts {
        size: parts.iter().map(|part| part.size).sum(),
        etag: format!("{}-{count}", short(sha256(&etags).as_ref())),
        modified: now,
        headers: upload.headers.clone(),
        // The checksum of checksums, as S3 makes it.
        checksum: digests
            .map(|digests| (SHA256.to_owned(), format!("{}-{count}", STANDARD.encode(sha256(&digests))))),
    }
}

/// Where a bucket's objects are on the shelf.
fn of(bucket: &str) -> String {
    names::directory(&format!("{bucket}/"))
}

fn object(bucket: &str, key: &str) -> String {
    format!("{}/{}", of(bucket), names::file(key))
}

fn directory(upload: Uuid) -> String {
    format!("{UPLOADS}/{}", upload.simple())
}

fn part(upload: Uuid, number: u16) -> String {
    format!("{}/{number:05}", directory(upload))
}

/// One line of JSON; its own line breaks are escaped.
fn line(value: &impl Serialize) -> Vec<u8> {
    // Text keys and plain values are always JSON.
    serde_json::to_vec(value).unwrap_or_default()
}

/// The first half of a digest, as text.
fn short(digest: &[u8]) -> String {
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn locked() -> Refusal {
    Refusal::denied("Access Denied because object protected by object lock.")
}

/// Whether versions are kept: where they are locked.
fn versioning(has_lock: bool) -> Reply {
    let mut text = Xml::new("VersioningConfiguration");
    if has_lock {
        text.element("Status", "Enabled");
    }
    text.reply(200)
}

/// How objects are locked as they come. The term is that of the template's default; nothing here gets so old.
fn object_lock(has_lock: bool) -> Result<Reply, Refusal> {
    if !has_lock {
        let said = "Object Lock configuration does not exist for this bucket";
        return Err(Refusal::new(404, "ObjectLockConfigurationNotFoundError", said));
    }
    let mut text = Xml::new("ObjectLockConfiguration");
    text.element("ObjectLockEnabled", "Enabled");
    text.group("Rule", |rule| {
        rule.group("DefaultRetention", |term| {
            term.element("Mode", "COMPLIANCE");
            term.element("Years", "7");
        });
    });
    Ok(text.reply(200))
}

/// Nobody but this machine comes here at all.
fn public_access() -> Reply {
    let mut text = Xml::new("PublicAccessBlockConfiguration");
    for name in ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"] {
        text.element(name, "true");
    }
    text.reply(200)
}

fn empty(status: u16) -> Reply {
    Reply { status, headers: HeaderMap::new(), content: Content::Bytes(Bytes::new()) }
}

fn stored(facts: &Facts) -> Reply {
    let mut reply = empty(200);
    set(&mut reply.headers, "etag", &facts.quoted_etag());
    if let Some((name, value)) = &facts.checksum {
        set(&mut reply.headers, name, value);
    }
    reply
}

/// Sets a header whose value can be sent; what could not has come in as something else.
fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

/// The headers that are kept with an object and come back with it.
fn kept_headers(call: &Call) -> BTreeMap<String, String> {
    let is_kept = |name: &str| {
        matches!(name, "cache-control" | "content-disposition" | "content-language" | "content-type")
            || name.starts_with("x-amz-meta-")
    };
    let kept = call.headers.iter().filter(|(name, _)| is_kept(name.as_str()));
    let mut kept: BTreeMap<String, String> = kept
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let encoding: Vec<&str> = call.encodings().filter(|encoding| *encoding != CHUNKED).collect();
    if !encoding.is_empty() {
        kept.insert("content-encoding".to_owned(), encoding.join(","));
    }
    kept
}

fn http_date(time: Timestamp) -> String {
    let time = DateTime::from_timestamp_millis(time.millis()).unwrap_or_default();
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
