//! Files that are written: whole, or not under their name.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A file that has its name once all of it is written. Until then it is `NAME.part`, which only its owner may read; of a
/// command that fails nothing remains, of one that is killed that.
pub(crate) struct Draft {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
}

impl Draft {
    /// Begins one. Neither it nor its draft may be there.
    ///
    /// # Errors
    /// [`Error::Create`].
    pub(crate) fn begin(path: &Path) -> Result<Self, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Create { path, source }
        };
        absent(path).map_err(failed(path))?;
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&part).map_err(failed(&part))?;
        Ok(Self { path: path.to_owned(), part, file: BufWriter::new(file) })
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// [`Error::Create`]: it could not be written to the end, or something has that name by now.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        let named = self
            .file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| absent(&self.path))
            .and_then(|()| std::fs::rename(&self.part, &self.path));
        named.map_err(|source| Error::Create { path: self.path.clone(), source })
    }
}

/// Nothing is ever written over.
fn absent(path: &Path) -> io::Result<()> {
    if path.try_exists()? { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Not there any more when it is finished.
        let _ = std::fs::remove_file(&self.part);
    }
}
