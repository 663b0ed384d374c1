//! A file in the making: what is written is sent on in parts, so that no more than one is held.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use objects::{Bucket, ObjectError, SMALLEST_PART, Upload};
use sha2::{Digest as _, Sha256};
use store::ExportedFile;

use crate::{Hold, JobError};

/// A file that is being written. A small one is put at once, when it is whole.
pub(crate) struct Output {
    bucket: Bucket,
    key: String,
    content_type: &'static str,
    buffer: Vec<u8>,
    digest: Sha256,
    size: u64,
    upload: Option<Upload>,
}

impl Output {
    pub(crate) fn new(bucket: &Bucket, key: String, content_type: &'static str) -> Self {
        Self {
            bucket: bucket.clone(),
            key,
            content_type,
            buffer: Vec::new(),
            digest: Sha256::new(),
            size: 0,
            upload: None,
        }
    }

    /// Where to write to. [`Output::send`] is to follow now and then.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Sends a part if there is one, and notes in the job how far it has come.
    pub(crate) async fn send(&mut self, hold: &mut Hold<'_>) -> Result<(), JobError> {
        if self.buffer.len() < SMALLEST_PART {
            return Ok(());
        }
        if self.upload.is_none() {
            let upload = Upload::begin(&self.bucket, &self.key, self.content_type).await?;
            hold.job.upload = serde_json::to_string(&upload).ok();
            hold.note().await?;
            self.upload = Some(upload);
        }
        self.send_part().await?;
        hold.note().await
    }

    async fn send_part(&mut self) -> Result<(), ObjectError> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        let part = std::mem::take(&mut self.buffer);
        self.digest.update(&part);
        self.size += u64::try_from(part.len()).unwrap_or(0);
        upload.part(&self.bucket, upload.next_part(), part).await
    }

    /// Completes the file.
    pub(crate) async fn finish(mut self) -> Result<ExportedFile, ObjectError> {
        if self.upload.is_some() {
            if !self.buffer.is_empty() {
                self.send_part().await?;
            }
        } else {
            self.digest.update(&self.buffer);
            self.size = u64::try_from(self.buffer.len()).unwrap_or(0);
            let whole = std::mem::take(&mut self.buffer);
            self.bucket.put(&self.key, whole, self.content_type).await?;
        }
        if let Some(upload) = &self.upload {
            upload.complete(&self.bucket).await?;
        }
        let sha256 = self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(ExportedFile { key: self.key, size: self.size, sha256 })
    }
}

/// A buffer that somebody else writes to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    /// Moves what was written to the end of another buffer.
    pub(crate) fn drain_into(&self, buffer: &mut Vec<u8>) {
        buffer.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
