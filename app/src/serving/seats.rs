//! Seats for connections: as many as a listener has. When all are taken, a newcomer gets the seat of somebody who does
//! nothing with it, so that silent connections keep nobody out.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    /// Asked to leave, and most likely about to.
    leaving: AtomicBool,
    /// Has to leave, whatever is open.
    evicted: AtomicBool,
    /// Bytes that wait here for the client: see [`Debt`].
    owed: AtomicUsize,
    /// Debts that were settled.
    settled: AtomicUsize,
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

    /// The number of debts that were settled, while there are others.
    pub fn owes_since(&self) -> Option<usize> {
        (self.owed.load(Ordering::Relaxed) > 0).then(|| self.settled.load(Ordering::Relaxed))
    }

    /// Ends when another client needs the seat and no request is open, or when the client owes too much.
    pub async fn has_to_leave(&self) {
        loop {
            self.leave.notified().await;
            if self.evicted.load(Ordering::Relaxed) || self.idle_since().is_some() {
                return;
            }
            self.leaving.store(false, Ordering::Relaxed);
        }
    }

    /// Asks to leave, when no request is open and nobody has asked before.
    fn ask_to_leave(&self) -> bool {
        let asks = self.idle_since().is_some() && !self.leaving.swap(true, Ordering::Relaxed);
        if asks {
            self.leave.notify_one();
        }
        asks
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
    /// The most of one client, if there is a limit.
    each: Option<u32>,
    /// The most that all clients together may owe.
    credit: usize,
    /// What they owe.
    owed: AtomicUsize,
    /// Connections by their client, the oldest first.
    taken: Mutex<HashMap<IpAddr, VecDeque<Arc<Activity>>>>,
}

impl Seats {
    /// So many seats, so many for each client, and so many bytes that may wait for clients to take them.
    pub fn new(count: u32, each: Option<u32>, credit: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(count as usize)),
            count,
            each,
            credit,
            owed: AtomicUsize::new(0),
            taken: Mutex::default(),
        })
    }

    /// A seat for a connection of `peer`. While all are taken, the one that has been idle among the most connections of
    /// one client has to leave; when none is idle, it waits. `None` when the client has its share, and none is idle.
    pub async fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Seat> {
        if !self.admits(peer) {
            return None;
        }
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
            .entry(client(peer))
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

    /// Whether the client of `peer` may have another connection, perhaps in the place of its oldest idle one.
    fn admits(&self, peer: IpAddr) -> bool {
        let Some(each) = self.each else {
            return true;
        };
        let taken = self.lock();
        let own = taken.get(&client(peer)).into_iter().flatten();
        let staying = own
            .clone()
            .filter(|one| !one.leaving.load(Ordering::Relaxed));
        staying.count() < each as usize || own.into_iter().any(|one| one.ask_to_leave())
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

    /// While the connections that stay owe too much, the one that owes most among those of the client that owes most has
    /// to leave.
    fn collect(&self) {
        let taken = self.lock();
        let owed = |connection: &Arc<Activity>| match connection.evicted.load(Ordering::Relaxed) {
            true => 0,
            false => connection.owed.load(Ordering::Relaxed),
        };
        let of_client = |connections: &VecDeque<_>| connections.iter().map(owed).sum::<usize>();
        if taken.values().map(of_client).sum::<usize>() <= self.credit {
            return;
        }
        let client = taken
            .values()
            .max_by_key(|connections| of_client(connections));
        let most = client.into_iter().flatten();
        if let Some(connection) = most.max_by_key(|connection| owed(connection)) {
            connection.evicted.store(true, Ordering::Relaxed);
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

impl Seat {
    /// Where the connection's debts are counted.
    pub fn account(&self) -> Account {
        Account {
            activity: self.activity.clone(),
            seats: self.seats.clone(),
        }
    }
}

/// Counts what a client owes: what takes memory here until the client takes it, or sends the rest.
#[derive(Debug, Clone)]
pub struct Account {
    activity: Arc<Activity>,
    seats: Arc<Seats>,
}

impl Account {
    /// Notes a debt. When that is too much for all together, somebody has to leave.
    pub fn owe(&self, bytes: usize) -> Debt {
        self.activity.owed.fetch_add(bytes, Ordering::Relaxed);
        let all = self.seats.owed.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all > self.seats.credit {
            self.seats.collect();
        }
        Debt {
            account: self.clone(),
            bytes,
        }
    }
}

/// So many bytes, owed until this is dropped.
#[derive(Debug)]
pub struct Debt {
    account: Account,
    bytes: usize,
}

impl Drop for Debt {
    fn drop(&mut self) {
        let Account { activity, seats } = &self.account;
        activity.settled.fetch_add(1, Ordering::Relaxed);
        activity.owed.fetch_sub(self.bytes, Ordering::Relaxed);
        seats.owed.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(connections) = taken.get_mut(&client(self.peer)) {
            connections.retain(|other| !Arc::ptr_eq(other, &self.activity));
            if connections.is_empty() {
                taken.remove(&client(self.peer));
            }
        }
    }
}

/// Who is behind an address: somebody with IPv6 has a whole network.
fn client(peer: IpAddr) -> IpAddr {
    const NETWORK: u128 = !0 << 64;
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[tokio::test]
    async fn the_oldest_idle_connection_of_the_address_with_the_most_has_to_leave() {
        let seats = Seats::new(3, None, 0);
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

    #[tokio::test]
    async fn a_client_has_its_share_and_no_more() {
        let seats = Seats::new(10, Some(2), 0);
        let first = seats.take(address(1)).await.unwrap();
        let second = seats.take(address(1)).await.unwrap();
        let busy = [&first, &second].map(|seat| seat.activity.request());
        assert!(seats.take(address(1)).await.is_none());
        let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped();
        assert!(seats.take(mapped.into()).await.is_none());
        let other = seats.take(address(2)).await.unwrap();
        // In the place of the one that is idle, once.
        drop(busy);
        let open = second.activity.request();
        let third = seats.take(address(1)).await.unwrap();
        let third_open = third.activity.request();
        assert!(seats.take(address(1)).await.is_none());
        tokio::time::timeout(LONG, first.activity.has_to_leave())
            .await
            .unwrap();
        drop((first, second, third, open, third_open, other));
        assert!(seats.lock().is_empty());
    }

    #[tokio::test]
    async fn who_was_asked_to_leave_and_has_a_request_stays() {
        let seats = Seats::new(10, Some(1), 0);
        let first = seats.take(address(1)).await.unwrap();
        let second = seats.take(address(1)).await.unwrap();
        let open = first.activity.request();
        let leaving = first.activity.has_to_leave();
        assert!(leaving.now_or_never().is_none());
        // Both stay; there is no room for a third while they are busy.
        let second_open = second.activity.request();
        assert!(seats.take(address(1)).await.is_none());
        drop((open, second_open));
    }

    #[test]
    fn a_network_of_version_six_is_one_client() {
        let of = |text: &str| client(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[tokio::test]
    async fn who_owes_most_has_to_leave_when_all_together_owe_too_much() {
        let seats = Seats::new(10, None, 100);
        let mut taken = Vec::new();
        for (client, bytes) in [(1, 30), (2, 20), (2, 25)] {
            let seat = seats.take(address(client)).await.unwrap();
            let debt = seat.account().owe(bytes);
            taken.push((seat, debt));
        }
        let leaves = |number: usize| taken[number].0.activity.has_to_leave().now_or_never();
        assert!((0..3).all(|number| leaves(number).is_none()));
        let more = taken[0].0.account().owe(10);
        assert_eq!(taken[0].0.activity.owes_since(), Some(0));
        let last = taken[0].0.account().owe(16);
        assert!(leaves(0).is_some(), "56 of 101, and 45");
        drop((more, last));
        assert_eq!(taken[0].0.activity.owes_since(), Some(2));
        let rest = taken[1].0.account().owe(90);
        assert!(leaves(1).is_some() && leaves(2).is_none());
        taken.clear();
        assert_eq!(seats.owed.load(Ordering::Relaxed), 90);
        drop(rest);
        assert_eq!(seats.owed.load(Ordering::Relaxed), 0);
    }
}
