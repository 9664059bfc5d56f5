//! The phases of the service: serving, draining, stopping.

use tokio::sync::watch;

/// The phase of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Serving.
    Serving,
    /// Still serving, but not ready, and asking clients to go elsewhere.
    Draining,
    /// Accepting no connections; finishing requests in progress.
    Stopping,
}

/// Moves the service to its next phase.
#[derive(Debug)]
pub struct PhaseControl(watch::Sender<Phase>);

/// Reads the phase of the service.
#[derive(Debug, Clone)]
pub struct PhaseWatch(watch::Receiver<Phase>);

/// A control and a first watch, in [`Phase::Serving`].
pub fn phases() -> (PhaseControl, PhaseWatch) {
    let (sender, receiver) = watch::channel(Phase::Serving);
    (PhaseControl(sender), PhaseWatch(receiver))
}

impl PhaseControl {
    /// Moves to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let later = phase > *current;
            if later {
                *current = phase;
            }
            later
        });
    }
}

impl PhaseWatch {
    /// The present phase.
    pub fn get(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until `phase` or a later one is reached.
    pub async fn reached(&mut self, phase: Phase) {
        // The control is dropped only when the process ends.
        let _ = self.0.wait_for(|current| *current >= phase).await;
    }
}

/// A signal that ends the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, as orchestrators send it.
    Terminate,
    /// SIGINT: a person pressed Ctrl-C and waits.
    Interrupt,
}

/// Waits for a signal that ends the process.
///
/// # Errors
/// When signals cannot be received.
pub async fn termination() -> std::io::Result<Signal> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => Signal::Terminate,
        _ = interrupt.recv() => Signal::Interrupt,
    })
}
