//! What the store knows of people beside their birthdays: lists of them, and friendships.

use chrono::NaiveDate;

use super::StoreFuture;
use crate::domain::{
    BirthdayWindow, DateOfBirth, Friendship, MonthDay, NameRange, Pair, Username, following,
};

/// A user and the date of birth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub username: Username,
    /// The date of birth.
    pub born: DateOfBirth,
}

impl Person {
    /// A person from a row of name and date.
    pub(super) fn from_row((username, born): (String, NaiveDate)) -> Self {
        Self {
            username: Username::from_stored(username),
            born: DateOfBirth::from_stored(born),
        }
    }
}

/// Birthdays to list: those of a window that come after a place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BirthdaySpan {
    window: BirthdayWindow,
    after: Option<(MonthDay, Username)>,
}

/// One range of the index over day of the year and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRange {
    /// Where it begins, included.
    pub from: (i16, String),
    /// The last day of the year in it.
    pub last: i16,
}

impl BirthdaySpan {
    /// The part of `window` after `after`, or all of it.
    pub fn new(window: BirthdayWindow, after: Option<(MonthDay, Username)>) -> Self {
        Self { window, after }
    }

    /// The ranges to read one after another, at most two.
    pub fn ranges(&self) -> Vec<IndexRange> {
        let from_day = self.after.as_ref().map(|(day, _)| *day);
        let mut name = self
            .after
            .as_ref()
            .map(|(_, name)| following(name.as_str()));
        self.window
            .ranges(from_day)
            .map(|(first, last)| IndexRange {
                // Only the first range begins after a name; the next begins with its first day.
                from: (first.number(), name.take().unwrap_or_default()),
                last: last.number(),
            })
            .collect()
    }
}

/// Lists of users.
pub trait Users: Send + Sync {
    /// Up to `limit` users in the order of names.
    fn users(&self, range: NameRange, limit: u32) -> StoreFuture<'_, Vec<Person>>;

    /// Up to `limit` users, nearest birthday first.
    fn birthdays(&self, span: BirthdaySpan, limit: u32) -> StoreFuture<'_, Vec<Person>>;
}

/// A name that belongs to no user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownUser(pub Username);

/// What is stored of `pair`: whether its low and its high are users, and the row's two columns.
pub(super) fn stored_friendship(
    pair: &Pair,
    (low_exists, high_exists): (bool, bool),
    row: Option<(bool, bool)>,
) -> Result<Option<Friendship>, UnknownUser> {
    match (low_exists, high_exists) {
        (false, _) => Err(UnknownUser(pair.low().clone())),
        (true, false) => Err(UnknownUser(pair.high().clone())),
        (true, true) => {
            Ok(row.map(|(requested_by_low, accepted)| pair.friendship(requested_by_low, accepted)))
        }
    }
}

/// A friendship after it was requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The present state.
    pub friendship: Friendship,
    /// Whether there was none before.
    pub created: bool,
}

/// A friend of a user, or one who may become it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Friend {
    /// The friend.
    pub username: Username,
    /// Whether the friend is the one who requested it.
    pub asked: bool,
    /// Whether the friendship was accepted.
    pub accepted: bool,
}

impl Friend {
    /// A friend from a row: name, whether the friend requested it, and whether it was accepted.
    pub(super) fn from_row((username, asked, accepted): (String, bool, bool)) -> Self {
        Self {
            username: Username::from_stored(username),
            asked,
            accepted,
        }
    }
}

/// Which friends to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FriendList {
    /// The user whose friends are listed.
    pub of: Username,
    /// Only accepted, or only pending ones.
    pub accepted: Option<bool>,
    /// Only those that come after this name.
    pub after: Option<Username>,
    /// The most that are listed.
    pub limit: u32,
}

impl FriendList {
    /// The least name to list.
    pub fn from(&self) -> String {
        self.after
            .as_ref()
            .map(|name| following(name.as_str()))
            .unwrap_or_default()
    }

    /// The two values of `accepted` to list, equal when only one is wanted.
    pub fn states(&self) -> (bool, bool) {
        self.accepted
            .map_or((false, true), |accepted| (accepted, accepted))
    }
}

/// Friendships: at most one for each pair, removed with either user.
pub trait Friendships: Send + Sync {
    /// Requests on behalf of the pair's actor. What the other one had requested becomes accepted;
    /// requesting again changes nothing.
    fn befriend(&self, pair: Pair) -> StoreFuture<'_, Result<Asked, UnknownUser>>;

    /// The pair's friendship, if there is any.
    fn friendship(&self, pair: Pair) -> StoreFuture<'_, Result<Option<Friendship>, UnknownUser>>;

    /// Removes the friendship or request of the pair. Succeeds when there was none.
    fn unfriend(&self, pair: Pair) -> StoreFuture<'_, ()>;

    /// Friends in the order of names.
    fn friends(&self, list: FriendList) -> StoreFuture<'_, Result<Vec<Friend>, UnknownUser>>;

    /// Up to `limit` accepted friends of `of`, nearest birthday first.
    fn friend_birthdays(
        &self,
        of: Username,
        span: BirthdaySpan,
        limit: u32,
    ) -> StoreFuture<'_, Result<Vec<Person>, UnknownUser>>;
}
