//! Lines of a file, one at a time, none of them longer than a line of an export can be.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

/// In bytes. A record is a DynamoDB item, of at most 400 KB; a tile has 11 KB.
const MAX_LINE: u64 = 8 << 20;

/// A line and its number.
pub(crate) struct Numbered<'l> {
    pub(crate) number: u64,
    /// Without the line feed. `None` if the line is too long; the rest of it comes as the next one.
    pub(crate) bytes: Option<&'l [u8]>,
}

/// Reads lines into one buffer.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(1 << 16, reader), buffer: Vec::new(), number: 0 }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Numbered<'_>>> {
        self.buffer.clear();
        let read = (&mut self.reader).take(MAX_LINE).read_until(b'\n', &mut self.buffer)? as u64;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let bytes = match self.buffer.strip_suffix(b"\n") {
            Some(line) => Some(line),
            None if read < MAX_LINE => Some(self.buffer.as_slice()),
            None => None,
        };
        Ok(Some(Numbered { number: self.number, bytes }))
    }
}

/// How much may still be read before [`Budget::renew`].
#[derive(Clone)]
pub(crate) struct Budget(Rc<Cell<u64>>);

impl Budget {
    pub(crate) fn renew(&self) {
        self.0.set(MAX_LINE);
    }
}

/// A reader that fails once its budget is spent: for those who read a whole record at a time, however long.
pub(crate) struct Limited<R> {
    reader: R,
    budget: Budget,
}

impl<R: Read> Limited<R> {
    pub(crate) fn new(reader: R) -> (Self, Budget) {
        let budget = Budget(Rc::new(Cell::new(MAX_LINE)));
        (Self { reader, budget: budget.clone() }, budget)
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Budget(left) = &self.budget;
        let read = self.reader.read(buffer)?;
        match left.get().checked_sub(read as u64) {
            Some(rest) => left.set(rest),
            None => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a row is longer than any record"));
            }
        }
        Ok(read)
    }
}
