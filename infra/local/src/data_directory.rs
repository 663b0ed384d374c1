//! What outlives the process: a directory with the database, the objects and a few small files, or memory.
//!
//! Files are replaced, never rewritten: a killed process leaves the old one or the new one. The directory belongs
//! to one running platform at a time.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::engines::Files;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It cannot be made, read or written.
    #[error("the data directory {} cannot be used; check its permissions or choose another with --data-dir", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// Another platform is running on it.
    #[error("the data directory {} is in use by another running platform; stop it or choose another with --data-dir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A small file in it cannot be read or written.
    #[error("{} in the data directory cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// A small file in it is not what this version writes.
    #[error(
        "{name} in the data directory is damaged; restore it, or delete the whole directory to start afresh"
    )]
    Damaged {
        /// The file.
        name: &'static str,
    },
}

/// How much a written file has to survive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survives {
    /// The end of the process, however sudden.
    Process,
    /// The loss of power as well.
    PowerFailure,
}

/// Where small files are kept.
pub(crate) enum Keep {
    /// In a directory.
    Directory(DataDirectory),
    /// In memory.
    Memory(Mutex<BTreeMap<String, Vec<u8>>>),
}

/// A directory that this process has to itself.
pub(crate) struct DataDirectory {
    path: PathBuf,
    /// Held while the directory is in use.
    _lock: File,
}

impl DataDirectory {
    /// Opens the directory, making it if need be.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let unusable = |source| DataError::Unusable { path: path.to_owned(), source };
        let mut make = fs::DirBuilder::new();
        make.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            make.mode(0o700);
        }
        make.create(path.join("checkpoints")).map_err(unusable)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// The database file and the directory of objects.
    pub(crate) fn engines(&self) -> Files {
        Files { database: self.path.join("artisan.db"), objects: self.path.join("objects") }
    }
}

impl Keep {
    pub(crate) fn memory() -> Self {
        Self::Memory(Mutex::default())
    }

    /// The content of a file; `None` when it does not exist.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DataError> {
        match self {
            Self::Memory(files) => {
                Ok(files.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
            }
            Self::Directory(directory) => {
                let path = directory.path.join(name);
                match fs::read(&path) {
                    Ok(content) => Ok(Some(content)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(DataError::File { path, source }),
                }
            }
        }
    }

    /// Replaces a file, readable by its owner only.
    pub(crate) fn write(&self, name: &str, content: &[u8], survives: Survives) -> Result<(), DataError> {
        match self {
            Self::Memory(files) => {
                files
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(name.to_owned(), content.to_vec());
                Ok(())
            }
            Self::Directory(directory) => {
                let path = directory.path.join(name);
                replace(&path, content, survives).map_err(|source| DataError::File { path, source })
            }
        }
    }
}

fn replace(path: &Path, content: &[u8], survives: Survives) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = File::options();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&temporary)?;
    file.write_all(content)?;
    if survives == Survives::PowerFailure {
        file.sync_all()?;
    }
    drop(file);
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_user_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = DataDirectory::open(directory.path()).unwrap();
        let refused = DataDirectory::open(directory.path()).err().unwrap();
        assert!(matches!(refused, DataError::InUse { .. }), "{refused}");
        drop(first);
        DataDirectory::open(directory.path()).unwrap();
    }

    #[test]
    fn files_are_replaced_whole_and_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let keep = Keep::Directory(DataDirectory::open(directory.path()).unwrap());
        assert_eq!(keep.read("secrets.json").unwrap(), None);
        keep.write("secrets.json", b"a long first version", Survives::PowerFailure).unwrap();
        keep.write("secrets.json", b"second", Survives::Process).unwrap();
        assert_eq!(keep.read("secrets.json").unwrap().unwrap(), b"second");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(directory.path().join("secrets.json")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn an_unusable_path_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = DataDirectory::open(&file).err().unwrap();
        assert!(error.to_string().contains("file"), "{error}");
    }
}
