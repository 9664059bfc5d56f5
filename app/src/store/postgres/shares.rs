//! Shares of the connections for lists: some lists may take long, and have to leave a connection to the others.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::store::StoreError;

/// A share of the connections, until it is dropped.
pub type Share = OwnedSemaphorePermit;

/// Which lists that may take long have a share.
#[derive(Debug)]
pub struct Shares {
    free: Arc<Semaphore>,
    places: Semaphore,
}

impl Shares {
    /// Shares of `connections`, all but one of which may be taken, or the only one. Up to `capacity` wait for theirs.
    pub fn new(connections: usize, capacity: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections.saturating_sub(1).max(1))),
            places: Semaphore::new(capacity),
        }
    }

    /// Waits for a share.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] when too many wait already.
    pub async fn take(&self) -> Result<Share, StoreError> {
        let _place = self
            .places
            .try_acquire()
            .map_err(|_| StoreError::Overloaded)?;
        let share = self.free.clone().acquire_owned().await;
        share.map_err(|_| StoreError::Unavailable)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn one_of_several_connections_is_left_to_others() {
        for (connections, most) in [(1, 1), (2, 1), (3, 2)] {
            let shares = Shares::new(connections, 9);
            let mut taken = Vec::new();
            for _ in 0..most {
                taken.push(shares.take().await.unwrap());
            }
            let mut next = pin!(shares.take());
            assert!(poll!(&mut next).is_pending(), "{connections}");
            taken.pop();
            assert!(poll!(&mut next).is_ready(), "{connections}");
        }
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let shares = Shares::new(1, 2);
        let taken = shares.take().await.unwrap();
        {
            let (mut first, mut second) = (pin!(shares.take()), pin!(shares.take()));
            assert!(poll!(&mut first).is_pending());
            assert!(poll!(&mut second).is_pending());
            assert_eq!(shares.take().await.unwrap_err(), StoreError::Overloaded);
        }
        // Those two have left.
        drop(taken);
        drop(shares.take().await.unwrap());
    }
}
