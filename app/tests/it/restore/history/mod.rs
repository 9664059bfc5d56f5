//! What clients know of a service whose data is backed up, restored and put back meanwhile, and whether all of it can be true.
//!
//! Each key is written by one client, one request after the other, and never twice with the same value. So every row
//! names the write that made it. One counter tells what came before what: a request had its effect somewhere between
//! the numbers of its beginning and of its end. What somebody sees of several keys at once (a list, a backup, the data
//! that a restore has put aside) has to be their state at one instant: whoever sees a write also sees all that ended
//! before that began.

mod check;
pub mod clients;
mod planted;

use std::collections::BTreeMap;

use chrono::NaiveDate;

/// The people in a database.
pub type Rows = BTreeMap<String, NaiveDate>;

/// From when to when something was done.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub start: u64,
    pub end: u64,
}

/// What a client has asked for.
#[derive(Debug, Clone)]
pub struct Write {
    pub key: String,
    /// `None` removes it.
    pub value: Option<NaiveDate>,
    pub span: Span,
    /// Otherwise it may be done now, later or never; its client then leaves the key alone.
    pub acknowledged: bool,
}

impl Write {
    /// What was there before anybody wrote.
    pub fn before_all((key, value): (String, NaiveDate)) -> Self {
        Self {
            key,
            value: Some(value),
            span: Span { start: 0, end: 0 },
            acknowledged: true,
        }
    }
}

/// What somebody was shown of all keys that begin with a text.
#[derive(Debug, Clone)]
pub struct Seen {
    pub by: String,
    pub prefix: String,
    pub rows: Rows,
    pub span: Span,
}

/// A restore, or its undoing: in one instant, all live data goes and other data comes.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub outgoing: Rows,
    pub incoming: Rows,
    pub span: Span,
}

impl Exchange {
    /// What is lost by it: rows that are added, changed and removed in what goes. Those that are still as `begun_with`
    /// has them were not written, and are none.
    pub fn loss(&self, begun_with: Option<&Rows>) -> [u64; 3] {
        let mut loss = [0; 3];
        for (key, value) in &self.outgoing {
            let written = begun_with.is_none_or(|rows| rows.get(key) != Some(value));
            match self.incoming.get(key) {
                None if written => loss[0] += 1,
                Some(other) if written && other != value => loss[1] += 1,
                _ => {}
            }
        }
        let back = |key: &&String| !self.outgoing.contains_key(*key);
        loss[2] = self.incoming.keys().filter(back).count() as u64;
        loss
    }
}

/// Everything that is known.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Those of a key in their order.
    pub writes: Vec<Write>,
    /// In their order.
    pub exchanges: Vec<Exchange>,
    pub seen: Vec<Seen>,
}

impl History {
    /// How much is known, for people.
    pub fn size(&self) -> String {
        let acknowledged = self.writes.iter().filter(|write| write.acknowledged);
        format!(
            "{} of {} writes acknowledged, {} times seen what is there, {} exchanges",
            acknowledged.count(),
            self.writes.len(),
            self.seen.len(),
            self.exchanges.len()
        )
    }
}
