//! Where objects are put: files below a directory, or memory.
//!
//! What is put here is a line of text followed by content, under a relative path of safe components. It appears whole
//! or not at all, and replaces what was there in one step: a killed process leaves the old or the new. Content is not
//! flushed to the disk, as nothing here outlives a power failure. Knows nothing of buckets and keys.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use futures::stream::{self, Stream};
use uuid::Uuid;

/// Where files are written before they are moved to their place.
const UNFINISHED: &str = ".new";
/// So much of a file is read at a time, and less than that at once.
const CHUNK: u64 = 256 * 1024;
/// The line of text is bounded: user metadata has at most 2 KB, a key 1 KB.
const LONGEST_LINE: u64 = 64 * 1024;

/// Where objects are put.
pub(super) enum Shelf {
    /// In memory, each with its line.
    Memory(RwLock<BTreeMap<String, (Bytes, Bytes)>>),
    /// Below this directory.
    Directory(PathBuf),
}

/// Something that was found.
pub(super) struct Found {
    /// Its line, without the end of it.
    pub(super) line: Vec<u8>,
    content: Held,
}

enum Held {
    Memory(Bytes),
    File { file: File, start: u64 },
}

/// Content, or a part of it.
#[derive(Debug)]
pub enum Content {
    /// In memory.
    Bytes(Bytes),
    /// The next `length` bytes of an open file, which may have been replaced or removed since.
    File {
        /// The file.
        file: File,
        /// How many bytes.
        length: u64,
    },
}

impl Found {
    /// A part of the content.
    pub(super) fn section(self, range: Range<u64>) -> io::Result<Content> {
        let length = range.end.saturating_sub(range.start);
        match self.content {
            Held::Memory(content) => {
                let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(content.len());
                Ok(Content::Bytes(content.slice(bound(range.start)..bound(range.end))))
            }
            Held::File { mut file, start } => {
                file.seek(SeekFrom::Start(start + range.start))?;
                if length <= CHUNK {
                    let (_, content) = next(file, length)?;
                    return Ok(Content::Bytes(content));
                }
                Ok(Content::File { file, length })
            }
        }
    }
}

/// The bytes of an open file, some at a time, read where it may block.
pub(in crate::engines) fn chunks(
    file: File,
    length: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    stream::try_unfold((file, length), |(file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || next(file, left.min(CHUNK)));
        let (file, chunk) = read.await.map_err(io::Error::other)??;
        let left = left - chunk.len() as u64;
        Ok(Some((chunk, (file, left))))
    })
}

fn next(mut file: File, length: u64) -> io::Result<(File, Bytes)> {
    let mut chunk = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact(&mut chunk)?;
    Ok((file, chunk.into()))
}

impl Shelf {
    pub(super) fn memory() -> Self {
        Self::Memory(RwLock::default())
    }

    /// A shelf in this directory, which is made if need be. What was being written when the last process ended is
    /// cleared away.
    pub(super) fn directory(path: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(path.join(UNFINISHED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(path.join(UNFINISHED))?,
        }
        Ok(Self::Directory(path.to_owned()))
    }

    /// Puts a line and content.
    pub(super) fn put(&self, name: &str, line: &[u8], content: Bytes) -> io::Result<()> {
        match self {
            Self::Memory(held) => {
                let mut held = held.write().unwrap_or_else(PoisonError::into_inner);
                held.insert(name.to_owned(), (Bytes::copy_from_slice(line), content));
                Ok(())
            }
            Self::Directory(root) => publish(root, name, line, |file| file.write_all(&content)),
        }
    }

    /// Puts a line and the contents of others, one after the other.
    pub(super) fn join(&self, name: &str, line: &[u8], parts: &[String]) -> io::Result<()> {
        match self {
            Self::Memory(_) => {
                let mut whole = Vec::new();
                for part in parts {
                    if let Held::Memory(content) = self.existing(part)?.content {
                        whole.extend_from_slice(&content);
                    }
                }
                self.put(name, line, whole.into())
            }
            Self::Directory(root) => publish(root, name, line, |out| {
                for part in parts {
                    if let Held::File { mut file, .. } = self.existing(part)?.content {
                        io::copy(&mut file, out)?;
                    }
                }
                Ok(())
            }),
        }
    }

    fn existing(&self, name: &str) -> io::Result<Found> {
        self.get(name)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What is there under this name. A file stands at the beginning of its content.
    pub(super) fn get(&self, name: &str) -> io::Result<Option<Found>> {
        match self {
            Self::Memory(held) => {
                let held = held.read().unwrap_or_else(PoisonError::into_inner);
                Ok(held.get(name).map(|(line, content)| Found {
                    line: line.to_vec(),
                    content: Held::Memory(content.clone()),
                }))
            }
            Self::Directory(root) => {
                let mut file = match File::open(root.join(name)) {
                    Ok(file) => file,
                    Err(error) if is_absence(&error) => return Ok(None),
                    Err(error) => return Err(error),
                };
                let mut line = Vec::new();
                BufReader::with_capacity(1024, &file).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
                if line.pop() != Some(b'\n') {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                let start = line.len() as u64 + 1;
                file.seek(SeekFrom::Start(start))?;
                Ok(Some(Found { line, content: Held::File { file, start } }))
            }
        }
    }

    /// The names below a directory, in no order, each relative to it.
    pub(super) fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        match self {
            Self::Memory(held) => {
                let held = held.read().unwrap_or_else(PoisonError::into_inner);
                let below = format!("{directory}/");
                let names = held.range(below.clone()..).map_while(|(name, _)| name.strip_prefix(&below));
                Ok(names.map(str::to_owned).collect())
            }
            Self::Directory(root) => {
                let mut names = Vec::new();
                walk(&root.join(directory), "", &mut names)?;
                Ok(names)
            }
        }
    }

    /// Removes what is under this name, if anything is.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match self {
            Self::Memory(held) => {
                held.write().unwrap_or_else(PoisonError::into_inner).remove(name);
            }
            Self::Directory(root) => {
                let path = root.join(name);
                match fs::remove_file(&path) {
                    Err(error) if !is_absence(&error) => return Err(error),
                    _ => {}
                }
                // Directories that have become empty go too. The first that has not, ends it.
                let above = path.ancestors().skip(1).take_while(|directory| *directory != root);
                for directory in above {
                    if fs::remove_dir(directory).is_err() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Writes a file beside the others and moves it to its place.
fn publish(
    root: &Path,
    name: &str,
    line: &[u8],
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let unfinished = root.join(UNFINISHED).join(Uuid::new_v4().to_string());
    let written = (|| {
        let mut options = File::options();
        options.create_new(true).write(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let mut file = options.open(&unfinished)?;
        file.write_all(line)?;
        file.write_all(b"\n")?;
        fill(&mut file)?;
        drop(file);
        let path = root.join(name);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::rename(&unfinished, path)
    })();
    if written.is_err() {
        // What stays behind is cleared away at the next start.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn walk(directory: &Path, before: &str, names: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absence(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        // Names that are not UTF-8 are none of ours.
        let Ok(own) = entry.file_name().into_string() else { continue };
        let name = if before.is_empty() { own } else { format!("{before}/{own}") };
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &name, names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
