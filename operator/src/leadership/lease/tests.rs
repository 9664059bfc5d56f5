use proptest::prelude::*;

use super::*;

/// A store that knows only compare-and-set, as the API server does.
#[derive(Default)]
struct Store {
    record: Option<Record>,
    version: u32,
}

impl Store {
    fn write(&mut self, verdict: &Verdict, holder: &str) -> bool {
        let expected = match verdict {
            Verdict::Wait => return false,
            Verdict::Create => None,
            Verdict::Replace(version) => Some(version),
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
    judge: Judge,
    /// Start of the round, what was decided, and when the write arrives.
    pending: Option<(Instant, Verdict, Instant)>,
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
            judge: Judge {
                identity: name.into(),
                seen: None,
            },
            pending: None,
            next: start,
            may_write_until: None,
        })
        .into();
    let mut now = start;
    for (index, pause, travel) in schedule {
        let node = &mut nodes[*index];
        now = now.max(node.next);
        let verdict = node.judge.judge(store.record.clone(), now);
        node.pending = Some((now, verdict, now + Duration::from_millis(*travel)));
        node.next = now + Duration::from_millis(*pause);
        // Writes arrive in the order of their arrival times, not of their sending.
        loop {
            let due = (0..nodes.len())
                .filter_map(|i| nodes[i].pending.as_ref().map(|(_, _, at)| (*at, i)))
                .filter(|(at, _)| *at <= now + Duration::from_millis(1))
                .min();
            let Some((at, i)) = due else { break };
            let name = nodes[i].judge.identity.clone();
            if let Some((sent, verdict, _)) = nodes[i].pending.take()
                && store.write(&verdict, &name)
            {
                let other = nodes.iter().find(|other| {
                    other.judge.identity != name
                        && other.may_write_until.is_some_and(|until| until > at)
                });
                if let Some(other) = other {
                    return Some(format!(
                        "{name} took over while {} may write",
                        other.judge.identity
                    ));
                }
                nodes[i].may_write_until = Some(sent + DURATION);
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

    /// Pauses (a stopped process), slow writes and lost races: never two writers.
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
    let mut judge = Judge {
        identity: "me".into(),
        seen: None,
    };
    let mut record = Record {
        holder: "other".into(),
        version: "1".into(),
    };
    for second in 0..60 {
        record.version = second.to_string();
        let now = start + Duration::from_secs(second);
        assert_eq!(judge.judge(Some(record.clone()), now), Verdict::Wait);
    }
    let quiet = start + Duration::from_secs(59) + DURATION;
    assert_eq!(judge.judge(Some(record.clone()), quiet), Verdict::Wait);
    let over = quiet + Duration::from_millis(1);
    assert_eq!(
        judge.judge(Some(record), over),
        Verdict::Replace("59".into())
    );
}

#[test]
fn a_released_lease_is_free_at_once() {
    let mut judge = Judge {
        identity: "me".into(),
        seen: None,
    };
    let record = Record {
        holder: String::new(),
        version: "7".into(),
    };
    assert_eq!(
        judge.judge(Some(record), Instant::now()),
        Verdict::Replace("7".into())
    );
}

#[test]
fn a_closed_fence_lets_nothing_pass() {
    let now = Instant::now();
    assert!(Fence::closed().remaining(now).is_zero());
    assert!(!Fence::open().remaining(now).is_zero());
    let fence = Fence::closed();
    fence.set(Some(now + DURATION));
    assert_eq!(fence.remaining(now), DURATION);
    assert!(fence.remaining(now + DURATION).is_zero());
}
