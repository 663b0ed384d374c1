//! After a start, puts back into the queues what the tables say is still owed.
//!
//! Queues live in memory, so whatever was queued when the process ended is gone from them; the deliveries themselves
//! are items of the activity table, and so are mails for a day. This runs once per start, after the functions are built
//! and before anything is polled. It may enqueue what the stream is about to enqueue too: a job only says "look at this
//! delivery", and delivery is at least once.

use runtime::StartError;

use crate::Platform;

/// The function that makes jobs of events also knows how to make them again.
const FAN_OUT: &str = "fanout";
/// The function that brings back what waits knows the lane it goes by.
const SWEEP: &str = "sweep";

/// Why what is owed could not be queued again. The platform does not start then: it would look healthy and deliver
/// nothing.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The fan-out does not start.
    #[error("the deliveries that are still owed cannot be looked for")]
    Start(#[from] StartError),
    /// The tables cannot be read, or the queue refuses.
    #[error("the deliveries that are still owed could not be queued again")]
    Requeue(#[from] fn_fanout::FanOutError),
}

/// Enqueues the mails of the last day; returns how many. The mailbox is in memory as the queue is, so they are missing
/// from it whether they had been sent or not.
///
/// # Errors
/// [`RecoveryError`].
pub async fn reenqueue_mails(platform: &Platform) -> Result<usize, RecoveryError> {
    match platform.services_for(FAN_OUT) {
        Some(services) => Ok(fn_fanout::handler(&services).await?.requeue_mails().await?),
        None => Ok(0),
    }
}

/// Enqueues one job for every delivery that waits for its endpoint; returns how many. First tries come again with the
/// stream. A template without fan-out and sweep owes nothing.
///
/// # Errors
/// [`RecoveryError`].
pub async fn reenqueue_owed(platform: &Platform) -> Result<usize, RecoveryError> {
    match (platform.services_for(FAN_OUT), platform.services_for(SWEEP)) {
        (Some(fan_out), Some(sweep)) => {
            let lane = jobs::SlowLane::from_services(&sweep)?;
            Ok(fn_fanout::handler(&fan_out).await?.requeue_waiting(&lane).await?)
        }
        _ => Ok(0),
    }
}
