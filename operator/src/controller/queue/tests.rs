use super::*;
use crate::{controller::PANIC_DELAYS, error::Class};

const SECOND: Duration = Duration::from_secs(1);

fn key(name: &str) -> Key {
    Key::new("ns", name)
}

#[test]
fn a_resource_is_never_handled_twice_at_once() {
    let now = Instant::now();
    let mut queue = Queue::new(4);
    queue.trigger(key("a"), now);
    queue.trigger(key("a"), now);
    assert_eq!(queue.take(now + SETTLE), Some(key("a")));
    queue.trigger(key("a"), now);
    assert_eq!(queue.take(now + SECOND), None);
    queue.done(&key("a"), now, Next::After(SECOND * 600), 0.0);
    assert_eq!(queue.take(now + SETTLE), Some(key("a")));
    queue.done(&key("a"), now, Next::After(SECOND * 600), 0.0);
    assert_eq!(queue.take(now + SECOND), None);
    assert_eq!(queue.take(now + SECOND * 600), Some(key("a")));
}

/// Delays after this many failures in a row, without and with the whole jitter.
fn delays(limits: (Duration, Duration), failures: usize) -> Vec<(Duration, Duration)> {
    let mut queue = Queue::new(4);
    let mut now = Instant::now();
    queue.trigger(key("bad"), now);
    let mut delays = Vec::new();
    for _ in 0..failures {
        let mut due = [0.0, 1.0].map(|jitter| {
            let mut queue = queue.clone();
            let time = queue.next_due().unwrap();
            queue.take(time).unwrap();
            queue.done(&key("bad"), time, Next::Failed(limits.0, limits.1), jitter);
            (time, queue)
        });
        let (time, ref mut latest) = due[0];
        now = latest.next_due().unwrap();
        delays.push((due[1].1.next_due().unwrap() - time, now - time));
        let [(_, latest), _] = due;
        queue = latest;
    }
    delays
}

#[test]
fn delays_double_from_the_shortest_to_the_longest_and_jitter_only_shortens_them() {
    let all = Class::ALL.map(Class::delays).into_iter();
    for (shortest, longest) in all.chain([PANIC_DELAYS]) {
        let delays = delays((shortest, longest), 40);
        for (failures, (earliest, latest)) in (0_i32..).zip(&delays) {
            let whole = (shortest.as_secs_f64() * 2_f64.powi(failures)).min(longest.as_secs_f64());
            assert!(
                (latest.as_secs_f64() - whole).abs() < 1e-6,
                "{failures}: {latest:?}"
            );
            let least = 0.7 * whole;
            assert!(
                (earliest.as_secs_f64() - least).abs() < 1e-6,
                "{failures}: {earliest:?}"
            );
        }
        assert_eq!(delays.last().unwrap().1, longest);
    }
}

#[test]
fn the_next_look_after_a_success_comes_up_to_a_tenth_earlier() {
    for (jitter, seconds) in [(0.0, 600), (0.5, 570), (1.0, 540)] {
        let now = Instant::now();
        let mut queue = Queue::new(4);
        queue.trigger(key("a"), now);
        queue.take(now + SETTLE).unwrap();
        queue.done(&key("a"), now, Next::After(SECOND * 600), jitter);
        assert_eq!(queue.next_due(), Some(now + SECOND * seconds), "{jitter}");
    }
}

#[test]
fn what_is_known_waits_and_runs_is_counted() {
    let now = Instant::now();
    let mut queue = Queue::new(1);
    assert_eq!((queue.len(), queue.waiting()), (0, 0));
    for name in ["a", "b", "c"] {
        queue.trigger(key(name), now);
    }
    assert!(!queue.is_empty());
    assert_eq!(queue.len(), 3);
    let first = queue.take(now + SETTLE).unwrap();
    assert_eq!(queue.take(now + SETTLE), None, "the worker is busy");
    assert_eq!(queue.waiting(), 2);
    for name in ["a", "b", "c"] {
        assert_eq!(queue.is_running(&key(name)), key(name) == first, "{name}");
    }
    queue.done(&first, now + SETTLE, Next::Forget, 0.0);
    assert!(!queue.is_running(&first));
    assert_eq!(queue.len(), 2);
}

#[test]
fn a_success_starts_the_delays_again() {
    let mut queue = Queue::new(4);
    let mut now = Instant::now();
    queue.trigger(key("a"), now);
    for next in [
        Next::Failed(SECOND, SECOND * 60),
        Next::Failed(SECOND, SECOND * 60),
        Next::After(SECOND),
        Next::Failed(SECOND, SECOND * 60),
    ] {
        now = queue.next_due().unwrap();
        assert_eq!(queue.take(now), Some(key("a")));
        queue.done(&key("a"), now, next, 0.0);
    }
    assert_eq!(queue.next_due(), Some(now + SECOND));
    assert_eq!(queue.failing(), 1);
}

#[test]
fn after_an_interruption_every_resource_is_looked_at_within_the_period() {
    let now = Instant::now();
    let mut queue = Queue::new(4);
    for name in ["a", "b", "c", "d"] {
        queue.trigger(key(name), now);
        queue.take(now + SETTLE).unwrap();
        queue.done(&key(name), now, Next::After(SECOND * 600), 0.0);
    }
    queue.trigger_all(now, SECOND * 4);
    let mut times = Vec::new();
    while let Some(due) = queue.next_due().filter(|due| *due < now + SECOND * 60) {
        let key = queue.take(due).unwrap();
        queue.done(&key, due, Next::After(SECOND * 600), 0.0);
        times.push(due - now - SETTLE);
    }
    assert_eq!(times, [0, 1, 2, 3].map(|seconds| SECOND * seconds));
}

#[test]
fn failures_back_off_and_triggers_do_not_reset_it() {
    let mut now = Instant::now();
    let mut queue = Queue::new(4);
    queue.trigger(key("bad"), now);
    now += SETTLE;
    let mut passes = 0;
    let end = now + SECOND * 300;
    while now < end {
        if let Some(key) = queue.take(now) {
            passes += 1;
            queue.done(&key, now, Next::Failed(SECOND * 300, SECOND * 900), 0.0);
        }
        now += SECOND;
    }
    assert_eq!(passes, 1);
    // A child that changes all the time still causes at most one pass a second.
    passes = 0;
    for _ in 0..100 {
        queue.trigger(key("bad"), now);
        if let Some(key) = queue.take(now) {
            passes += 1;
            queue.done(&key, now, Next::Failed(SECOND, SECOND * 60), 0.0);
        }
        now += SECOND / 10;
    }
    assert!((8..=11).contains(&passes), "{passes}");
}

#[test]
fn a_busy_resource_does_not_starve_the_others() {
    let mut now = Instant::now();
    let mut queue = Queue::new(4);
    queue.trigger(key("quiet"), now);
    let mut seen = Vec::new();
    for _ in 0..10 {
        queue.trigger(key("busy"), now);
        now += SETTLE;
        if let Some(key) = queue.take(now) {
            queue.done(&key, now, Next::After(SECOND), 0.0);
            seen.push(key);
        }
    }
    assert!(seen[..2].contains(&key("quiet")), "{seen:?}");
}

/// Somebody rewrites a child all the time: each pass restores it, and its write triggers the next.
#[test]
fn a_resource_that_never_settles_costs_a_pass_a_second() {
    let start = Instant::now();
    let mut queue = Queue::new(4);
    let mut passes = Vec::new();
    let mut now = start;
    while now < start + SECOND * 60 {
        queue.trigger(key("busy"), now);
        if let Some(key) = queue.take(now) {
            passes.push(now - start);
            queue.done(&key, now, Next::After(SECOND * 600), 0.0);
        }
        now += SETTLE / 2;
    }
    let early = passes.iter().filter(|at| **at < SECOND).count();
    assert!((20..=21).contains(&early), "{early}");
    assert!((78..=80).contains(&passes.len()), "{}", passes.len());
    // What rested for a while may have as many again.
    now += SECOND * 60;
    let mut again = 0;
    let end = now + SECOND;
    while now < end {
        queue.trigger(key("busy"), now);
        if let Some(key) = queue.take(now) {
            again += 1;
            queue.done(&key, now, Next::After(SECOND * 600), 0.0);
        }
        now += SETTLE / 2;
    }
    assert!((20..=21).contains(&again), "{again}");
}

#[test]
fn those_that_fail_are_counted() {
    let now = Instant::now();
    let mut queue = Queue::new(4);
    let mut pass = |next, expected| {
        queue.trigger(key("a"), now);
        let due = queue.next_due().unwrap();
        queue.take(due).unwrap();
        queue.done(&key("a"), due, next, 0.0);
        assert_eq!(queue.failing(), expected, "{next:?}");
    };
    let failed = Next::Failed(SECOND, SECOND);
    pass(failed, 1);
    pass(failed, 1);
    pass(Next::After(SECOND), 0);
    pass(failed, 1);
    pass(Next::Forget, 0);
    pass(Next::Forget, 0);
}

#[test]
fn a_resource_that_is_gone_is_forgotten() {
    let now = Instant::now();
    let mut queue = Queue::new(4);
    queue.trigger(key("a"), now);
    queue.take(now + SETTLE);
    queue.done(&key("a"), now, Next::Forget, 0.0);
    assert!(queue.is_empty());
    queue.trigger(key("a"), now);
    queue.take(now + SETTLE);
    queue.trigger(key("a"), now);
    queue.done(&key("a"), now, Next::Forget, 0.0);
    assert_eq!(queue.len(), 1);
}

#[test]
fn what_time_alone_makes_due_is_told_from_changes() {
    let mut now = Instant::now();
    let mut queue = Queue::new(4);
    let take = |queue: &mut Queue, now: &mut Instant| {
        *now = queue.next_due().unwrap();
        queue.take(*now).unwrap();
        queue.is_by_time(&key("a"))
    };
    let done = |queue: &mut Queue, now| queue.done(&key("a"), now, Next::After(SECOND * 30), 0.0);
    queue.trigger(key("a"), now);
    assert!(!take(&mut queue, &mut now), "it is new");
    done(&mut queue, now);
    assert!(take(&mut queue, &mut now), "time is over");
    // A change while it is looked at, and one while it waits.
    queue.trigger(key("a"), now);
    done(&mut queue, now);
    assert!(!take(&mut queue, &mut now));
    done(&mut queue, now);
    queue.trigger(key("a"), now);
    assert!(!take(&mut queue, &mut now));
    done(&mut queue, now);
    assert!(take(&mut queue, &mut now));
}
