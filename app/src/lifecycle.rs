//! The phases of the service: serving, draining, stopping.

use tokio::signal::unix::{self, SignalKind};
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

/// The signals that end the process.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// Receives signals from now on; they do nothing else any more.
    ///
    /// # Errors
    /// When signals cannot be received.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }

    /// Waits for the next [`Signal::Interrupt`]: somebody does not want to wait for the end.
    pub async fn interrupt(&mut self) {
        let _ = self.interrupt.recv().await;
    }
}

/// Waits for a signal that ends the process.
///
/// # Errors
/// When signals cannot be received.
pub async fn termination() -> std::io::Result<Signal> {
    Ok(Signals::new()?.next().await)
}
