//! Whether a history can be true.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::{Exchange, History, Seen, Write};

/// While a value could be seen.
struct Visible {
    value: Option<NaiveDate>,
    /// From the beginning of its write until the end of the next one.
    from: u64,
    until: u64,
    /// How many exchanges there had been, from the least to the most.
    epochs: (usize, usize),
    effect: Effect,
}

/// Whether something was done.
#[derive(Clone, Copy, PartialEq)]
enum Effect {
    Done,
    /// It was done before an exchange, and perhaps once more after it: the service repeats a write whose answer is lost.
    Repeated,
    /// It was not acknowledged: it may be done at any time, or never.
    Unknown,
}

impl Visible {
    fn overlaps(&self, seen: &Seen, epoch: usize) -> bool {
        let (first, last) = self.epochs;
        (first..=last).contains(&epoch)
            && self.from <= seen.span.end
            && seen.span.start <= self.until
    }
}

type Timelines<'a> = BTreeMap<&'a str, Vec<Visible>>;

impl History {
    /// What cannot be true.
    pub fn contradictions(&self) -> Vec<String> {
        let timelines = self.timelines();
        let seen = self.seen.iter().filter_map(|seen| {
            let mut found = self
                .epochs_of(seen)
                .map(|epoch| explained(&timelines, seen, epoch));
            let first = found.next()?.err()?;
            found.all(|found| found.is_err()).then_some(first)
        });
        // What an exchange puts aside is the last state before it.
        let exchanged = self.exchanges.iter().enumerate();
        let aside = exchanged.filter_map(|(epoch, exchange)| {
            let seen = Seen {
                by: format!("what exchange {epoch} puts aside"),
                prefix: String::new(),
                rows: exchange.outgoing.clone(),
                span: exchange.span,
            };
            explained(&timelines, &seen, epoch).err()
        });
        seen.chain(aside).collect()
    }

    /// How many exchanges there may have been when this was seen.
    fn epochs_of(&self, seen: &Seen) -> impl Iterator<Item = usize> {
        let before = |exchange: &&Exchange| exchange.span.end < seen.span.start;
        let begun = |exchange: &&Exchange| exchange.span.start <= seen.span.end;
        let first = self.exchanges.iter().filter(before).count();
        first..=self.exchanges.iter().filter(begun).count()
    }

    fn timelines(&self) -> Timelines<'_> {
        let mut writes: BTreeMap<&str, Vec<&Write>> = BTreeMap::new();
        for write in &self.writes {
            writes.entry(&write.key).or_default().push(write);
        }
        let of = |(key, writes): (_, Vec<_>)| (key, self.timeline(key, &writes));
        writes.into_iter().map(of).collect()
    }

    /// What could be seen of a key.
    fn timeline(&self, key: &str, writes: &[&Write]) -> Vec<Visible> {
        let mut visible = vec![Visible {
            value: None,
            from: 0,
            until: u64::MAX,
            epochs: (0, 0),
            effect: Effect::Done,
        }];
        let mut rest = writes;
        for (epoch, exchange) in self.exchanges.iter().enumerate() {
            let (before, after) = rest.split_at(written_before(rest, key, exchange));
            for write in before {
                write.append_to(&mut visible, epoch);
            }
            let brought = Write {
                key: key.into(),
                value: exchange.incoming.get(key).copied(),
                span: exchange.span,
                acknowledged: true,
            };
            brought.append_to(&mut visible, epoch + 1);
            let meanwhile =
                |write: &&&Write| write.acknowledged && write.span.end > exchange.span.start;
            if let Some(write) = before.last().filter(meanwhile) {
                visible.push(write.visible((epoch + 1, epoch + 1), Effect::Repeated));
            }
            rest = after;
        }
        let last = self.exchanges.len();
        rest.iter()
            .for_each(|write| write.append_to(&mut visible, last));
        visible
    }
}

impl Write {
    fn append_to(&self, timeline: &mut Vec<Visible>, epoch: usize) {
        if !self.acknowledged {
            timeline.push(self.visible((epoch, usize::MAX), Effect::Unknown));
            return;
        }
        for earlier in timeline.iter_mut().rev() {
            if earlier.effect != Effect::Unknown {
                earlier.until = self.span.end;
            }
            if earlier.effect == Effect::Done {
                break;
            }
        }
        timeline.push(self.visible((epoch, epoch), Effect::Done));
    }

    const fn visible(&self, epochs: (usize, usize), effect: Effect) -> Visible {
        Visible {
            value: self.value,
            from: self.span.start,
            until: u64::MAX,
            epochs,
            effect,
        }
    }
}

/// How many of the writes of a key an exchange has put aside: all that had ended, and of those that went on meanwhile, the
/// ones up to the one that is there.
fn written_before(writes: &[&Write], key: &str, exchange: &Exchange) -> usize {
    let ended = |write: &&&Write| write.acknowledged && write.span.end < exchange.span.start;
    let begun = |write: &&&Write| write.span.start <= exchange.span.end;
    let ended = writes.iter().take_while(ended).count();
    let begun = writes.iter().take_while(begun).count();
    let aside = exchange.outgoing.get(key);
    let meanwhile = writes[ended..begun].iter();
    let there = meanwhile
        .rev()
        .skip_while(|write| write.value.as_ref() != aside);
    ended + there.count()
}

/// Whether one instant explains what was seen, with so many exchanges before it.
fn explained(timelines: &Timelines, seen: &Seen, epoch: usize) -> Result<(), String> {
    if let Some(key) = seen
        .rows
        .keys()
        .find(|key| !timelines.contains_key(key.as_str()))
    {
        return Err(format!("{}: nobody has written {key}", seen.by));
    }
    let mut spans = Vec::new();
    for (key, timeline) in timelines.range(seen.prefix.as_str()..) {
        if !key.starts_with(&seen.prefix) {
            break;
        }
        let value = seen.rows.get(*key).copied();
        let fits = |visible: &&Visible| visible.value == value && visible.overlaps(seen, epoch);
        let fitting: Vec<_> = timeline.iter().filter(fits).collect();
        if fitting.is_empty() {
            return Err(format!(
                "{}: {key} was {value:?}, which it was not after {epoch} exchanges within {:?}",
                seen.by, seen.span
            ));
        }
        spans.push((key, fitting));
    }
    // If any instant does, so does the first one of some value, or of what was seen.
    let firsts = spans
        .iter()
        .flat_map(|(_, fitting)| fitting.iter().map(|visible| visible.from));
    let instants =
        std::iter::once(seen.span.start).chain(firsts.filter(|at| *at > seen.span.start));
    let mut without = None;
    for at in instants {
        let is_then = |visible: &&Visible| (visible.from..=visible.until).contains(&at);
        let not = |(_, fitting): &&(_, Vec<_>)| !fitting.iter().any(is_then);
        match spans.iter().find(not) {
            Some((key, _)) => without = Some(key),
            None => return Ok(()),
        }
    }
    Err(format!(
        "{}: no one instant, for instance because of {}, within {:?}",
        seen.by,
        without.map_or("", |key| **key),
        seen.span
    ))
}
