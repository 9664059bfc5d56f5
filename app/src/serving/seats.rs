//! Seats for connections: as many as a listener has. When all are taken, a newcomer gets the seat of somebody who does
//! nothing with it, so that silent connections keep nobody out.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The requests of one connection, and whether it has to go.
#[derive(Debug, Default)]
pub struct Activity {
    /// Requests that have arrived.
    begun: AtomicUsize,
    /// Requests that were answered or cancelled.
    ended: AtomicUsize,
    leave: Notify,
}

impl Activity {
    /// Counts a request as open for as long as the returned value lives, also when it is cancelled.
    pub fn request(self: &Arc<Self>) -> OpenRequest {
        self.begun.fetch_add(1, Ordering::Relaxed);
        OpenRequest(self.clone())
    }

    /// The number of requests so far, when none is open.
    pub fn idle_since(&self) -> Option<usize> {
        let ended = self.ended.load(Ordering::Relaxed);
        (self.begun.load(Ordering::Relaxed) == ended).then_some(ended)
    }

    /// Ends when somebody else needs the seat and no request is open.
    pub async fn has_to_leave(&self) {
        loop {
            self.leave.notified().await;
            if self.idle_since().is_some() {
                return;
            }
        }
    }
}

/// An open request.
#[derive(Debug)]
pub struct OpenRequest(Arc<Activity>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// The seats of a listener.
#[derive(Debug)]
pub struct Seats {
    free: Arc<Semaphore>,
    count: u32,
    /// Connections by the address at their other end, the oldest first.
    taken: Mutex<HashMap<IpAddr, VecDeque<Arc<Activity>>>>,
}

impl Seats {
    /// So many seats.
    pub fn new(count: u32) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(count as usize)),
            count,
            taken: Mutex::default(),
        })
    }

    /// A seat for a connection of `peer`. While all are taken, the one that has been idle among the most connections of
    /// one address has to leave; when none is idle, it waits.
    pub async fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Seat> {
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.make_room();
                // The semaphore is never closed.
                self.free.clone().acquire_owned().await.ok()?
            }
        };
        let activity = Arc::new(Activity::default());
        self.lock()
            .entry(peer)
            .or_default()
            .push_back(activity.clone());
        Some(Seat {
            activity,
            peer,
            seats: self.clone(),
            _permit: permit,
        })
    }

    /// Waits until nobody has a seat.
    pub async fn empty(&self) {
        let _ = self.free.acquire_many(self.count).await;
    }

    fn make_room(&self) {
        let taken = self.lock();
        let mut peers: Vec<_> = taken.values().collect();
        peers.sort_unstable_by_key(|connections| std::cmp::Reverse(connections.len()));
        let idle = peers
            .into_iter()
            .flatten()
            .find(|connection| connection.idle_since().is_some());
        if let Some(connection) = idle {
            connection.leave.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, VecDeque<Arc<Activity>>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    /// What its connection does.
    pub activity: Arc<Activity>,
    /// The address at the other end.
    pub peer: IpAddr,
    seats: Arc<Seats>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(connections) = taken.get_mut(&self.peer) {
            connections.retain(|other| !Arc::ptr_eq(other, &self.activity));
            if connections.is_empty() {
                taken.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[tokio::test]
    async fn the_oldest_idle_connection_of_the_address_with_the_most_has_to_leave() {
        let seats = Seats::new(3);
        let one = seats.take(address(1)).await.unwrap();
        let busy = seats.take(address(2)).await.unwrap();
        let open = busy.activity.request();
        let silent = seats.take(address(2)).await.unwrap();
        let mut newcomer = tokio::spawn({
            let seats = seats.clone();
            async move { seats.take(address(3)).await }
        });
        tokio::time::timeout(LONG, silent.activity.has_to_leave())
            .await
            .unwrap();
        assert!(!newcomer.is_finished());
        drop(silent);
        let newcomer = (&mut newcomer).await.unwrap().unwrap();
        // Of equals, any idle one; never one with an open request.
        drop(one);
        let second = seats.take(address(3)).await.unwrap();
        let waits = seats.take(address(4));
        tokio::select! {
            biased;
            _ = waits => panic!("no seat is free"),
            () = newcomer.activity.has_to_leave() => {}
        }
        drop((open, busy, second, newcomer));
        tokio::time::timeout(LONG, seats.empty()).await.unwrap();
        assert!(seats.lock().is_empty());
    }
}
