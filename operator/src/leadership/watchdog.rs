//! A timer of the kernel whose signal is SIGKILL: it ends this process also while the process is stopped. Why that is
//! needed: see [`crate::leadership`].

use std::{io, time::Duration};

use nix::{
    sys::{
        signal::{SigEvent, SigevNotify, Signal},
        timer::{Expiration, Timer, TimerSetTimeFlags},
    },
    time::ClockId,
    unistd,
};

/// The first process of a PID namespace, which no signal from within can kill.
const INIT: i32 = 1;

/// Continues while the machine sleeps.
const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;

/// A timer that kills this process.
#[derive(Debug)]
pub struct Watchdog(Timer);

/// A moment by the watchdog's clock.
#[derive(Clone, Copy, Debug)]
pub struct Moment(Duration);

impl Watchdog {
    /// A timer that is not armed.
    ///
    /// # Errors
    /// When the kernel gives no timer.
    pub fn new() -> io::Result<Self> {
        if unistd::getpid().as_raw() == INIT {
            tracing::warn!(
                "the kernel cannot end this process while it is stopped, as it is the first of its container: \
                 set shareProcessNamespace in the pod"
            );
        }
        let kill = SigevNotify::SigevSignal {
            signal: Signal::SIGKILL,
            si_value: 0,
        };
        Ok(Self(Timer::new(CLOCK, SigEvent::new(kill))?))
    }

    /// The time now.
    ///
    /// # Errors
    /// When the kernel has no such clock.
    pub fn now() -> io::Result<Moment> {
        Ok(Moment(CLOCK.now()?.into()))
    }

    /// Kills this process so long after that moment, unless it is armed again or disarmed before.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn arm(&mut self, from: Moment, after: Duration) -> io::Result<()> {
        let at = Expiration::OneShot((from.0 + after).into());
        Ok(self.0.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }

    /// Disarms the timer.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn disarm(&mut self) -> io::Result<()> {
        let never = Expiration::OneShot(Duration::ZERO.into());
        Ok(self.0.set(never, TimerSetTimeFlags::empty())?)
    }
}
