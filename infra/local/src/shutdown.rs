//! One signal that everything long-running listens to.

use tokio::sync::watch;

/// Asks everything that holds the matching [`Shutdown`] to stop. Dropping it asks too.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Says whether to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A trigger and what it triggers.
#[must_use]
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Asks to stop.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Whether stopping has been asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Returns when stopping is asked for.
    pub async fn requested(&mut self) {
        // An error means that the trigger is gone, and with it whoever wanted us to run.
        let _ = self.0.wait_for(|requested| *requested).await;
    }
}
