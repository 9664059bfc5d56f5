//! Histories that are true, and what makes them wrong: each must be noticed.

use chrono::{Days, NaiveDate};

use super::{Exchange, History, Rows, Seen, Span, Write};

fn day(number: u64) -> NaiveDate {
    NaiveDate::default() + Days::new(number)
}

fn rows(of: &[(&str, u64)]) -> Rows {
    let row = |(key, value): &(&str, u64)| ((*key).to_owned(), day(*value));
    of.iter().map(row).collect()
}

fn span(start: u64, end: u64) -> Span {
    Span { start, end }
}

fn write(key: &str, value: u64, start: u64, end: u64) -> Write {
    Write {
        key: key.into(),
        value: Some(day(value)),
        span: span(start, end),
        acknowledged: true,
    }
}

fn seen(by: &str, prefix: &str, of: &[(&str, u64)], start: u64, end: u64) -> Seen {
    Seen {
        by: by.into(),
        prefix: prefix.into(),
        rows: rows(of),
        span: span(start, end),
    }
}

/// A backup at 30, a restore of it at 60, its undoing at 80; requests beside each of them.
fn good() -> History {
    let (backup, lost) = (&[("a", 1), ("b", 11)], &[("a", 2), ("b", 12), ("c", 21)]);
    let later = &[("a", 1), ("b", 13), ("d", 31)];
    History {
        writes: vec![
            write("a", 1, 10, 12),
            write("b", 11, 20, 22),
            write("b", 12, 29, 34), // beside the backup, which does not have it
            write("a", 2, 40, 42),
            write("c", 21, 58, 61), // beside the swap, which has put it aside
            write("b", 13, 59, 63), // beside the swap, and after it
            write("d", 31, 70, 72), // after it
            Write {
                acknowledged: false,
                ..write("e", 41, 74, 75)
            },
        ],
        exchanges: vec![
            Exchange {
                outgoing: rows(lost),
                incoming: rows(backup),
                span: span(57, 62),
            },
            Exchange {
                outgoing: rows(later),
                incoming: rows(lost),
                span: span(79, 82),
            },
        ],
        seen: vec![
            seen("backup", "", backup, 28, 35),
            seen("a reader", "a", &[("a", 1)], 13, 14),
            seen("a reader", "b", &[("b", 12)], 32, 33),
            seen("a list after the swap", "", later, 76, 78),
            seen(
                "the end",
                "",
                &[("a", 2), ("b", 12), ("c", 21), ("e", 41)],
                90,
                91,
            ),
        ],
    }
}

#[test]
fn a_true_history_has_no_contradiction() {
    assert_eq!(good().contradictions(), [""; 0]);
    let swap = &good().exchanges[0];
    assert_eq!(swap.loss(None), [1, 2, 0]);
    // `a` is as the backup has it: it was not written since.
    let undo = &good().exchanges[1];
    assert_eq!(undo.loss(Some(&swap.incoming)), [1, 1, 1]);
    assert_eq!(undo.loss(None), [1, 2, 1]);
    // What was not acknowledged may never be done.
    let mut never = good();
    never.seen[4].rows.remove("e");
    assert_eq!(never.contradictions(), [""; 0]);
    // What was done beside the swap, whose answer was lost, was done again after it.
    let mut again = good();
    again.seen[3].rows.insert("c".into(), day(21));
    again.exchanges[1].outgoing.insert("c".into(), day(21));
    assert_eq!(again.contradictions(), [""; 0]);
}

/// An edit is all that counts.
fn gone<T>(_: T) {}

#[test]
fn every_planted_fault_is_noticed() {
    type Fault = (fn(&mut History), &'static str);
    let faults: [Fault; 13] = [
        (|h| gone(h.seen[4].rows.remove("c")), "the end: c was None"),
        (
            |h| gone(h.seen[4].rows.insert("a".into(), day(1))),
            "the end: a was Some(1970-01-02)",
        ),
        (
            |h| gone(h.seen[4].rows.insert("x".into(), day(1))),
            "the end: nobody has written x",
        ),
        (
            |h| gone(h.seen[1].rows.insert("a".into(), day(3))),
            "a reader: a was",
        ),
        // Read before it was written, and no more although it was.
        (|h| h.seen[2].span = span(26, 27), "a reader: b was"),
        (|h| h.seen[1].span = span(44, 45), "a reader: a was"),
        // A backup of two instants: `b` as it was at first, and `f`, which was written only when `b` was overwritten.
        (
            |h| {
                h.writes.push(write("f", 51, 35, 36));
                h.seen[0].rows.insert("f".into(), day(51));
                h.seen[0].span.end = 38;
            },
            "backup: no one instant",
        ),
        // One that shows what was there when it began, and not when it was taken.
        (|h| gone(h.seen[0].rows.remove("b")), "backup: b was None"),
        // A restore that loses what it has not put aside.
        (
            |h| gone(h.exchanges[0].outgoing.insert("a".into(), day(1))),
            "what exchange 0 puts aside: a was",
        ),
        // What was written after the swap is gone, also from what its undoing puts aside.
        (
            |h| {
                h.exchanges[1].outgoing.remove("d");
                h.seen[3].rows.remove("d");
            },
            "d was None",
        ),
        // A list half from before the swap, and half from after it.
        (
            |h| {
                h.seen
                    .push(seen("a list", "", &[("a", 1), ("b", 12)], 57, 62))
            },
            "a list: ",
        ),
        // What the swap has put aside, and was not done beside it, is live all the same.
        (
            |h| gone(h.seen[3].rows.insert("a".into(), day(2))),
            "a list after the swap: a was",
        ),
        // What an undoing brings back is not what the swap has put aside.
        (
            |h| gone(h.exchanges[1].incoming.remove("b")),
            "the end: b was",
        ),
    ];
    for (number, (fault, expected)) in faults.iter().enumerate() {
        let mut history = good();
        fault(&mut history);
        let found = history.contradictions();
        assert!(
            found.iter().any(|found| found.contains(expected)),
            "{number}: {found:?}"
        );
    }
}
