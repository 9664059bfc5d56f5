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
            Claim::Replace(version) => Some(version),
        };
        if self.record.as_ref().map(|record| &record.version) != expected {
            return false;
        }
        self.version += 1;
        self.record = Some(Record {
            holder: holder.into(),
            version: self.version.to_string(),
        });
        true
    }
}

struct Node {
    candidate: Candidate,
    /// Start of the round, what was decided, and when the write arrives.
    pending: Option<(Instant, Claim, Instant)>,
    next: Instant,
    may_write_until: Option<Instant>,
}

/// One step of a schedule: which node waits how long before its round, and how long its write travels.
type Step = (usize, u64, u64);

fn overlap(schedule: &[Step]) -> Option<String> {
    let start = Instant::now();
    let mut store = Store::default();
    let mut nodes: Vec<Node> = ["a", "b", "c"]
        .map(|name| Node {
            candidate: Candidate::new(name.into()),
            pending: None,
            next: start,
            may_write_until: None,
        })
        .into();
    let mut now = start;
    for (index, pause, travel) in schedule {
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
                let other = nodes.iter().find(|other| {
                    other.candidate.identity != name
                        && other.may_write_until.is_some_and(|until| until > at)
                });
                if let Some(other) = other {
                    return Some(format!(
                        "{name} took over while {} may write",
                        other.candidate.identity
                    ));
                }
                nodes[i].may_write_until = Some(sent + LEASE);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Pauses (a stopped process), slow writes and lost races: never two writers at once.
    #[test]
    fn two_holders_never_overlap(
        schedule in prop::collection::vec((0..3_usize, pauses(), travels()), 1..120)
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
        version: "7".into(),
    };
    assert_eq!(
        candidate.observe(Some(record), Instant::now()),
        Claim::Replace("7".into())
    );
}
