//! How far a stream has been read, kept so that a killed process goes on where it was.
//!
//! There are two positions. Up to the one that is *handed out*, the function is done with every record. Up to the one
//! that is *safe*, what it made of them outlives the process too: the queues are memory, so a job that only a queue
//! knows of is made again by reading its record again. The safe position is what is saved, and where the next start
//! begins. Functions are idempotent, so reading too much is harmless; the safe position is never too far.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::data_directory::{DataError, Keep, Survives};
use crate::engines::queues::Mark;

/// The safe position is saved this often at most.
const EVERY: Duration = Duration::from_secs(1);
/// So many positions between the safe one and the one handed out are remembered; beyond them, steps become coarser.
const REMEMBERED: usize = 1000;

/// One reader's position in one stream.
pub(super) struct Checkpoint {
    keep: Arc<Keep>,
    name: String,
    saved: Option<String>,
    saved_at: Option<Instant>,
    safe: Option<String>,
    /// Positions handed out, oldest first, each with the moment by which everything that followed from it was sent.
    handed_out: VecDeque<(Mark, String)>,
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
        let handed_out = VecDeque::new();
        Ok(Self { keep, name, safe: saved.clone(), saved, saved_at: None, handed_out })
    }

    /// The position last saved: nothing up to it is needed any more.
    pub(super) fn saved(&self) -> Option<&str> {
        self.saved.as_deref()
    }

    /// Begins at this position, nothing before it being of interest.
    pub(super) fn begin_at(&mut self, sequence_number: &str) -> Result<(), DataError> {
        self.safe = Some(sequence_number.to_owned());
        self.save()
    }

    /// Notes that the function is done with every record up to this one, and that what it sent was sent before `mark`.
    pub(super) fn hand_out(&mut self, sequence_number: &str, mark: Mark) {
        if self.handed_out.back().is_some_and(|(_, last)| last == sequence_number) {
            return;
        }
        let same = self.handed_out.back().is_some_and(|(last, _)| *last == mark);
        if same || self.handed_out.len() >= REMEMBERED {
            self.handed_out.pop_back();
        }
        self.handed_out.push_back((mark, sequence_number.to_owned()));
    }

    /// Notes that everything sent before `settled` needs no queue any more, and saves the safe position if it has moved
    /// and has not been saved for a while, or `at_once`.
    pub(super) fn settle(&mut self, settled: Mark, at_once: bool) -> Result<(), DataError> {
        while let Some((_, position)) = self.handed_out.pop_front_if(|(mark, _)| *mark <= settled) {
            self.safe = Some(position);
        }
        let due = at_once || self.saved_at.is_none_or(|at| at.elapsed() >= EVERY);
        if due && self.safe != self.saved { self.save() } else { Ok(()) }
    }

    fn save(&mut self) -> Result<(), DataError> {
        let Some(sequence_number) = self.safe.clone() else { return Ok(()) };
        // One text is always JSON.
        let content = serde_json::to_vec(&Content { sequence_number }).unwrap_or_default();
        self.saved_at = Some(Instant::now());
        self.keep.write(&self.name, &content, Survives::Process)?;
        self.saved.clone_from(&self.safe);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clock::{Clock, utc};

    use super::*;
    use crate::engines::queues::{Outgoing, Queues, Settings};

    fn checkpoint(keep: &Arc<Keep>) -> Checkpoint {
        Checkpoint::load(Arc::clone(keep), "Fan", "Stream").unwrap()
    }

    fn queues() -> Queues {
        let queues = Queues::new(Clock::manual(utc(2026, 1, 1, 0, 0)).0);
        queues.create("jobs", Settings::default());
        queues
    }

    #[test]
    fn a_position_is_saved_once_everything_that_followed_from_it_is_settled() {
        let (keep, queues) = (Arc::new(Keep::memory()), queues());
        let mut checkpoint = checkpoint(&keep);
        checkpoint.hand_out("1", queues.mark());
        queues.send("jobs", Outgoing::default()).unwrap();
        checkpoint.hand_out("2", queues.mark());
        checkpoint.settle(queues.settled_up_to(["jobs"]), true).unwrap();
        assert_eq!(checkpoint.saved(), Some("1"), "the job of the second record is in the queue");
        let job = queues.receive("jobs", 1, None).unwrap().remove(0);
        checkpoint.settle(queues.settled_up_to(["jobs"]), true).unwrap();
        assert_eq!(checkpoint.saved(), Some("1"), "it is being worked on");
        queues.delete("jobs", &job.receipt_handle).unwrap();
        checkpoint.settle(queues.settled_up_to(["jobs"]), true).unwrap();
        assert_eq!(checkpoint.saved(), Some("2"));
        assert_eq!(super::Checkpoint::load(keep, "Fan", "Stream").unwrap().saved(), Some("2"));
    }

    #[test]
    fn it_is_not_saved_more_often_than_need_be() {
        let (keep, queues) = (Arc::new(Keep::memory()), queues());
        let mut checkpoint = checkpoint(&keep);
        for (position, saved) in [("1", "1"), ("2", "1"), ("3", "1")] {
            checkpoint.hand_out(position, queues.mark());
            checkpoint.settle(queues.settled_up_to(["jobs"]), false).unwrap();
            assert_eq!(checkpoint.saved(), Some(saved));
        }
        checkpoint.settle(queues.settled_up_to(["jobs"]), true).unwrap();
        assert_eq!(checkpoint.saved(), Some("3"));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_never_too_far() {
        let (keep, queues) = (Arc::new(Keep::memory()), queues());
        let mut checkpoint = checkpoint(&keep);
        let mut handles = Vec::new();
        for number in 0..3 * REMEMBERED {
            queues.send("jobs", Outgoing::default()).unwrap();
            checkpoint.hand_out(&format!("{number:05}"), queues.mark());
        }
        assert_eq!(checkpoint.handed_out.len(), REMEMBERED);
        while let Some(job) = queues.receive("jobs", 1, None).unwrap().pop() {
            handles.push(job.receipt_handle);
        }
        for (number, handle) in handles.iter().enumerate() {
            queues.delete("jobs", handle).unwrap();
            checkpoint.settle(queues.settled_up_to(["jobs"]), true).unwrap();
            let saved: usize = checkpoint.saved().unwrap().parse().unwrap();
            assert!(saved <= number, "{saved} {number}");
        }
        assert_eq!(checkpoint.saved().unwrap(), format!("{:05}", 3 * REMEMBERED - 1));
    }
}
