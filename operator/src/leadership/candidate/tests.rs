use proptest::prelude::*;

use super::*;

/// A store that knows only compare-and-set, as the API server does.
#[derive(Default)]
struct Store {
    record: Option<Record>,
    version: u32,
}

impl Store {
    fn write(&mut self, claim: &Claim, holder: &str) -> bool {
        let expected = match claim {
            Claim::Wait => return false,
            Claim::Create => None,
            Claim::Replace(version) | Claim::Begin(version) => Some(version),
        };
        if self.record.as_ref().map(|record| &record.version) != expected {
            return false;
        }
        self.version += 1;
        self.record = Some(Record {
            holder: holder.into(),
            was_held: true,
            version: self.version.to_string(),
        });
        true
    }

    /// What other clients do to it: deletion, and what a tool makes in its place.
    fn disturb(&mut self, disturbance: Disturbance) {
        self.version += 1;
        match disturbance {
            Disturbance::None => {}
            Disturbance::Delete => self.record = None,
            Disturbance::Recreate => {
                self.record = Some(Record {
                    holder: String::new(),
                    was_held: false,
                    version: self.version.to_string(),
                });
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Disturbance {
    None,
    Delete,
    Recreate,
}

struct Node {
    candidate: Candidate,
    /// Start of the round, what was decided, and when the write arrives.
    pending: Option<(Instant, Claim, Instant)>,
    next: Instant,
    /// The times at which it may write.
    may_write: Vec<(Instant, Instant)>,
}

/// One step of a schedule: which node waits how long before its round, how long its write travels, and what happens to
/// the lease before.
type Step = (usize, u64, u64, Disturbance);

fn overlap(schedule: &[Step]) -> Option<String> {
    let start = Instant::now();
    let mut store = Store::default();
    let mut nodes: Vec<Node> = ["a", "b", "c"]
        .map(|name| Node {
            candidate: Candidate::new(name.into()),
            pending: None,
            next: start,
            may_write: Vec::new(),
        })
        .into();
    let mut now = start;
    for (index, pause, travel, disturbance) in schedule {
        store.disturb(*disturbance);
        let node = &mut nodes[*index];
        now = now.max(node.next);
        let claim = node.candidate.observe(store.record.clone(), now);
        node.pending = Some((now, claim, now + Duration::from_millis(*travel)));
        node.next = now + Duration::from_millis(*pause);
        // Writes arrive in the order of their arrival times, not of their sending.
        loop {
            let due = (0..nodes.len())
                .filter_map(|i| nodes[i].pending.as_ref().map(|(_, _, at)| (*at, i)))
                .filter(|(at, _)| *at <= now + Duration::from_millis(1))
                .min();
            let Some((at, i)) = due else { break };
            let name = nodes[i].candidate.identity.clone();
            if let Some((sent, claim, _)) = nodes[i].pending.take()
                && store.write(&claim, &name)
            {
                // The answer arrives at once: later would be later to write.
                if let Some(record) = store.record.clone() {
                    nodes[i].candidate.wrote(&claim, record, at);
                }
                let own = (at + nodes[i].candidate.quiet(at), sent + LEASE);
                let others = nodes
                    .iter()
                    .filter(|other| other.candidate.identity != name);
                let mut times = others.flat_map(|other| &other.may_write);
                if own.0 < own.1 && times.any(|time| time.0 < own.1 && own.0 < time.1) {
                    return Some(format!("{name} may write while another one may"));
                }
                nodes[i].may_write.push(own);
            }
        }
        now += Duration::from_millis(1);
    }
    None
}

/// Milliseconds: the usual rounds, and stops that end around the end of a lease.
fn pauses() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..6_000_u64, 2 => 12_000..17_000_u64, 1 => 0..40_000_u64]
}

/// Milliseconds: mostly quick, sometimes longer than a lease.
fn travels() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..200_u64, 1 => 0..20_000_u64]
}

fn disturbances() -> impl Strategy<Value = Disturbance> {
    prop_oneof![
        20 => Just(Disturbance::None),
        2 => Just(Disturbance::Delete),
        1 => Just(Disturbance::Recreate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Pauses (a stopped process), slow writes, lost races, and a lease that others delete or make anew: never two writers
    /// at once.
    #[test]
    fn two_holders_never_overlap(
        schedule in prop::collection::vec((0..3_usize, pauses(), travels(), disturbances()), 1..120)
    ) {
        prop_assert_eq!(overlap(&schedule), None);
    }
}

#[test]
fn a_record_that_changes_is_alive_whatever_its_clock_says() {
    let start = Instant::now();
    let mut candidate = Candidate::new("me".into());
    let mut record = Record {
        holder: "other".into(),
        was_held: true,
        version: "1".into(),
    };
    for second in 0..60 {
        record.version = second.to_string();
        let now = start + Duration::from_secs(second);
        assert_eq!(candidate.observe(Some(record.clone()), now), Claim::Wait);
    }
    let quiet = start + Duration::from_secs(59) + LEASE;
    assert_eq!(candidate.observe(Some(record.clone()), quiet), Claim::Wait);
    let over = quiet + Duration::from_millis(1);
    assert_eq!(
        candidate.observe(Some(record), over),
        Claim::Replace("59".into())
    );
}

#[test]
fn a_released_lease_is_free_at_once() {
    let mut candidate = Candidate::new("me".into());
    let record = Record {
        holder: String::new(),
        was_held: true,
        version: "7".into(),
    };
    assert_eq!(
        candidate.observe(Some(record), Instant::now()),
        Claim::Replace("7".into())
    );
}

#[test]
fn a_lease_that_nobody_has_held_is_taken_at_once_and_used_a_whole_lease_later() {
    let start = Instant::now();
    let record = |version: &str| Record {
        holder: "me".into(),
        was_held: true,
        version: version.into(),
    };
    let never_held = Record {
        holder: String::new(),
        was_held: false,
        version: "7".into(),
    };
    for (there, claim) in [
        (None, Claim::Create),
        (Some(never_held), Claim::Begin("7".into())),
    ] {
        let mut candidate = Candidate::new("me".into());
        assert_eq!(candidate.observe(there, start), claim);
        candidate.wrote(&claim, record("8"), start);
        assert_eq!(candidate.quiet(start), LEASE);
        // Renewals do not make it longer.
        let later = start + LEASE / 3;
        let renewal = candidate.observe(Some(record("8")), later);
        assert_eq!(renewal, Claim::Replace("8".into()));
        candidate.wrote(&renewal, record("9"), later);
        assert_eq!(candidate.quiet(later), LEASE - LEASE / 3);
        assert_eq!(candidate.quiet(start + LEASE), Duration::ZERO);
    }
}
