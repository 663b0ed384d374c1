//! How far a stream has been read, kept so that a killed process goes on where it was.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::data_directory::{DataError, Keep, Survives};

/// One reader's position in one stream.
pub(super) struct Checkpoint {
    keep: Arc<Keep>,
    name: String,
    saved: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    sequence_number: String,
}

impl Checkpoint {
    /// The position last saved under this name, if any.
    pub(super) fn load(keep: Arc<Keep>, function: &str, source: &str) -> Result<Self, DataError> {
        let name = format!("checkpoints/{function}-{source}.json");
        let saved = match keep.read(&name)? {
            None => None,
            Some(content) => Some(
                serde_json::from_slice::<Content>(&content)
                    .map_err(|_| DataError::Damaged { name: "checkpoints" })?
                    .sequence_number,
            ),
        };
        Ok(Self { keep, name, saved })
    }

    /// The position last saved.
    pub(super) fn saved(&self) -> Option<&str> {
        self.saved.as_deref()
    }

    /// Saves the number of the last record that is done with.
    pub(super) fn save(&mut self, sequence_number: &str) -> Result<(), DataError> {
        if self.saved.as_deref() != Some(sequence_number) {
            let content = Content { sequence_number: sequence_number.to_owned() };
            // One text is always JSON.
            let content = serde_json::to_vec(&content).unwrap_or_default();
            self.keep.write(&self.name, &content, Survives::Process)?;
            self.saved = Some(sequence_number.to_owned());
        }
        Ok(())
    }
}
