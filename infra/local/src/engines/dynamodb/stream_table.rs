//! Keeps the table in which the engine stores stream records small and quick.
//!
//! The engine finds the next sequence number of a stream by looking at all its records, and never deletes one.
//! An index makes the first a single step, and [`StreamTable::trim`] does the second as AWS does, after a day.
//! This is the only place that knows how the engine lays out its file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clock::Timestamp;
use rusqlite::{Connection, params};

/// How long AWS keeps a stream record.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How many records one statement deletes: the file is locked for writing while it runs.
const CHUNK: i64 = 500;
/// What the engine adds to a stored sequence number to make the 21 digits it shows.
const PUBLIC_OFFSET: i128 = 100_000_000_000_000_000_000;

/// The stream records of one database file.
pub(crate) struct StreamTable {
    path: PathBuf,
}

impl StreamTable {
    /// Prepares the file at `path`, which the engine has already opened once.
    pub(crate) fn prepare(path: &Path) -> rusqlite::Result<Self> {
        let table = Self { path: path.to_owned() };
        table.open()?.execute_batch(
            "CREATE INDEX IF NOT EXISTS artisan_stream_order
             ON _stream_records (table_name, CAST(sequence_number AS INTEGER));",
        )?;
        Ok(table)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(connection)
    }

    /// Deletes the records of `table` made before `before`, except those after `read_up_to`, the public sequence
    /// number of the last one that every reader is done with (`None`: nobody reads this stream).
    ///
    /// AWS would delete unread records too. Here the reader may have been switched off for a week with the laptop,
    /// and what it has not read is still owed.
    pub(crate) fn trim(
        &self,
        table: &str,
        before: Timestamp,
        read_up_to: Option<&str>,
    ) -> rusqlite::Result<usize> {
        let last = match read_up_to {
            None => i64::MAX,
            Some(public) => public
                .parse::<i128>()
                .ok()
                .and_then(|public| i64::try_from(public - PUBLIC_OFFSET).ok())
                .unwrap_or(0),
        };
        let connection = self.open()?;
        let mut deleted = 0;
        loop {
            let chunk = connection.execute(
                "DELETE FROM _stream_records WHERE id IN (
                   SELECT id FROM _stream_records
                   WHERE created_at < ?1 AND table_name = ?2 AND CAST(sequence_number AS INTEGER) <= ?3
                   LIMIT ?4)",
                params![before.seconds(), table, last, CHUNK],
            )?;
            deleted += chunk;
            if chunk == 0 {
                return Ok(deleted);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared() -> (tempfile::TempDir, StreamTable) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("artisan.db");
        drop(dynoxide::Database::new(path.to_str().unwrap()).unwrap());
        let table = StreamTable::prepare(&path).unwrap();
        (directory, table)
    }

    fn plan(connection: &Connection, sql: &str) -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn the_queries_the_engine_makes_for_every_write_and_read_use_the_index() {
        let (_directory, table) = prepared();
        let connection = table.open().unwrap();
        let next = plan(
            &connection,
            "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records
             WHERE table_name = 'core'",
        );
        assert!(next.contains("SEARCH") && next.contains("artisan_stream_order"), "{next}");
        let read = plan(
            &connection,
            "SELECT event_name, keys_json, new_image, old_image, sequence_number, created_at, user_identity, event_id
             FROM _stream_records
             WHERE table_name = 'core' AND shard_id = 's' AND CAST(sequence_number AS INTEGER) > 5
             ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT 10",
        );
        assert!(read.contains("artisan_stream_order (table_name=? AND <expr>>?)"), "{read}");
        assert!(!read.contains("TEMP B-TREE"), "{read}");
    }

    #[test]
    fn only_old_records_that_have_been_read_are_trimmed() {
        let (_directory, table) = prepared();
        let connection = table.open().unwrap();
        for (sequence, made) in [(1, 10), (2, 20), (3, 30), (4, 90_000)] {
            connection
                .execute(
                    "INSERT INTO _stream_records
                     (table_name, event_name, keys_json, sequence_number, shard_id, created_at)
                     VALUES ('core', 'INSERT', '{}', ?1, 's', ?2)",
                    params![sequence.to_string(), made],
                )
                .unwrap();
        }
        let before = Timestamp::from_seconds(1000);
        assert_eq!(table.trim("core", before, Some("100000000000000000002")).unwrap(), 2);
        assert_eq!(table.trim("other", before, None).unwrap(), 0);
        assert_eq!(table.trim("core", before, None).unwrap(), 1, "the newest record is younger");
    }
}
