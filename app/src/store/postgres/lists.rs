//! Lists of users, and friendships.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use super::PostgresStore;
use super::fence::{complete, fence, in_time, late_or};
use super::job::{RunError, Terms};
use super::query::Statement;
use super::shares::Share;
use crate::domain::{Friendship, NameRange, Pair, Username};
use crate::store::StoreFuture;
use crate::store::people::{
    Asked, BirthdaySpan, Friend, FriendList, Friendships, Person, UnknownUser, Users,
    stored_friendship,
};
use crate::store::sql::{self, birthdays, friend_birthdays};

const BIRTHDAYS: &str = birthdays!(
    "((extract(month FROM date_of_birth) * 100 + extract(day FROM date_of_birth))::smallint)"
);
const FRIEND_BIRTHDAYS: &str = friend_birthdays!(
    "((extract(month FROM date_of_birth) * 100 + extract(day FROM date_of_birth))::smallint)"
);

/// Requests, accepts, or changes nothing: then no row is written, but it is locked, see [`super::change`]. A row that was
/// there before and is written has been locked, and so has the number of this transaction as `xmax`. The users are locked
/// first, as the foreign keys would do it after the statement has compared the time. A friendship that was made since the
/// statement began is not `held`, and so written again.
const BEFRIEND: &str = concat!(
    fence!("$4", "$5"),
    "parents AS MATERIALIZED (SELECT username FROM users \
         WHERE username IN ($1, $2) AND (SELECT in_time FROM fence) ORDER BY username FOR KEY SHARE), \
     held AS MATERIALIZED (SELECT requested_by_low, accepted FROM friendships \
         WHERE low = $1 AND high = $2 AND (SELECT count(*) FROM parents) > 0 FOR NO KEY UPDATE), \
     same AS MATERIALIZED (SELECT requested_by_low, accepted FROM held WHERE accepted OR requested_by_low = $3), \
     done AS (INSERT INTO friendships (low, high, requested_by_low) \
         SELECT $1::text, $2::text, $3::boolean FROM (SELECT count(*) FROM parents) AS locked \
             WHERE (SELECT in_time FROM fence) AND NOT EXISTS (SELECT FROM same) \
         ON CONFLICT (low, high) DO UPDATE SET accepted = friendships.accepted \
             OR friendships.requested_by_low <> EXCLUDED.requested_by_low \
         RETURNING requested_by_low, accepted, xmax = 0 AS created) \
     SELECT requested_by_low, accepted, created, ",
    in_time!("$5"),
    ", clock_timestamp() FROM (SELECT * FROM done UNION ALL SELECT *, false FROM same) AS found"
);

const UNFRIEND: &str = concat!(
    fence!("$3", "$4"),
    "gone AS (DELETE FROM friendships \
         WHERE low = $1 AND high = $2 AND (SELECT in_time FROM fence) RETURNING 1) \
     SELECT (SELECT in_time FROM fence) AND count(*) * ",
    in_time!("$4"),
    " >= 0, clock_timestamp() FROM gone"
);

/// The constraint that fails when the first of a pair is not a user.
const LOW_IS_A_USER: &str = "friendships_low_fkey";

struct ListUsers {
    range: NameRange,
    limit: u32,
}

impl Statement for ListUsers {
    type Output = Vec<Person>;
    const REPEATABLE: bool = true;

    async fn run(
        &self,
        connection: &mut PgConnection,
        terms: Terms<'_>,
    ) -> Result<Vec<Person>, RunError> {
        let rows: Vec<(String, NaiveDate)> = sqlx::query_as(sql::USERS)
            .bind(self.range.from())
            .bind(self.range.below())
            .bind(i64::from(self.limit))
            .persistent(terms.persistent)
            .fetch_all(connection)
            .await?;
        Ok(rows.into_iter().map(Person::from_row).collect())
    }
}

struct ListBirthdays {
    span: BirthdaySpan,
    limit: u32,
}

impl Statement for ListBirthdays {
    type Output = Vec<Person>;
    const REPEATABLE: bool = true;

    async fn run(
        &self,
        connection: &mut PgConnection,
        terms: Terms<'_>,
    ) -> Result<Vec<Person>, RunError> {
        read_span(connection, terms, &self.span, None, self.limit).await
    }
}

struct ListFriendBirthdays {
    _share: Share,
    of: Username,
    span: BirthdaySpan,
    limit: u32,
}

impl Statement for ListFriendBirthdays {
    type Output = Result<Vec<Person>, UnknownUser>;
    const REPEATABLE: bool = true;

    async fn run(
        &self,
        connection: &mut PgConnection,
        terms: Terms<'_>,
    ) -> Result<Self::Output, RunError> {
        let of = Some(&self.of);
        let people = read_span(connection, terms, &self.span, of, self.limit).await?;
        unless_unknown(connection, terms, &self.of, people).await
    }
}

struct ListFriends {
    _share: Share,
    list: FriendList,
}

impl Statement for ListFriends {
    type Output = Result<Vec<Friend>, UnknownUser>;
    const REPEATABLE: bool = true;

    async fn run(
        &self,
        connection: &mut PgConnection,
        terms: Terms<'_>,
    ) -> Result<Self::Output, RunError> {
        let Self { list, .. } = self;
        let states = list.states();
        let rows: Vec<(String, bool, bool)> = sqlx::query_as(sql::FRIENDS)
            .bind(list.of.as_str())
            .bind(list.from())
            .bind(states.0)
            .bind(states.1)
            .bind(i64::from(list.limit))
            .persistent(terms.persistent)
            .fetch_all(&mut *connection)
            .await?;
        let friends = rows.into_iter().map(Friend::from_row).collect();
        unless_unknown(connection, terms, &list.of, friends).await
    }
}

struct ReadFriendship(Pair);

impl Statement for ReadFriendship {
    type Output = Result<Option<Friendship>, UnknownUser>;
    const REPEATABLE: bool = true;

    async fn run(
        &self,
        connection: &mut PgConnection,
        terms: Terms<'_>,
    ) -> Result<Self::Output, RunError> {
        let Self(pair) = self;
        let (low, high, requested_by_low, accepted): (bool, bool, Option<bool>, Option<bool>) =
            sqlx::query_as(sql::FRIENDSHIP)
                .bind(pair.low().as_str())
                .bind(pair.high().as_str())
                .persistent(terms.persistent)
                .fetch_one(connection)
                .await?;
        Ok(stored_friendship(
            pair,
            (low, high),
            requested_by_low.zip(accepted),
        ))
    }
}

struct Befriend(Pair);

/// Whether the lower of the pair has asked, whether the other has accepted, whether it is new; the number 1; the server's clock.
type BefriendRow = (bool, bool, bool, i32, DateTime<Utc>);

impl Statement for Befriend {
    type Output = Result<Asked, UnknownUser>;
    const REPEATABLE: bool = false;

    async fn run(
        &self,
        connection: &mut PgConnection,
        terms: Terms<'_>,
    ) -> Result<Self::Output, RunError> {
        let Self(pair) = self;
        let sent = Instant::now();
        let row: Result<Option<BefriendRow>, sqlx::Error> = sqlx::query_as(BEFRIEND)
            .bind(pair.low().as_str())
            .bind(pair.high().as_str())
            .bind(pair.actor_is_low())
            .bind(terms.start_by)
            .bind(terms.done_by)
            .persistent(terms.persistent)
            .fetch_optional(connection)
            .await;
        match row {
            Ok(Some((requested_by_low, accepted, created, _, time))) => {
                terms.clock.observe(time, sent, Instant::now());
                Ok(Ok(Asked {
                    friendship: pair.friendship(requested_by_low, accepted),
                    created,
                }))
            }
            Ok(None) => Err(RunError::Late),
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                let unknown = match error.constraint() {
                    Some(LOW_IS_A_USER) => pair.low(),
                    _ => pair.high(),
                };
                Ok(Err(UnknownUser(unknown.clone())))
            }
            Err(error) => Err(late_or(error)),
        }
    }
}

struct Unfriend(Pair);

impl Statement for Unfriend {
    type Output = ();
    const REPEATABLE: bool = false;

    async fn run(&self, connection: &mut PgConnection, terms: Terms<'_>) -> Result<(), RunError> {
        let Self(pair) = self;
        let query = sqlx::query_as(UNFRIEND)
            .bind(pair.low().as_str())
            .bind(pair.high().as_str())
            .bind(terms.start_by)
            .bind(terms.done_by)
            .persistent(terms.persistent);
        complete(query, connection, terms).await
    }
}

/// Reads a span range by range: of all users, or of the friends of `of`.
async fn read_span(
    connection: &mut PgConnection,
    terms: Terms<'_>,
    span: &BirthdaySpan,
    of: Option<&Username>,
    limit: u32,
) -> Result<Vec<Person>, RunError> {
    let mut people = Vec::new();
    for range in span.ranges() {
        let left = i64::from(limit) - i64::try_from(people.len()).unwrap_or(i64::MAX);
        if left <= 0 {
            break;
        }
        let (day, name) = range.from;
        let statement = of.map_or(BIRTHDAYS, |_| FRIEND_BIRTHDAYS);
        let mut query = sqlx::query_as(statement)
            .bind(day)
            .bind(name)
            .bind(range.last)
            .bind(left)
            .persistent(terms.persistent);
        if let Some(of) = of {
            query = query.bind(of.as_str());
        }
        let rows: Vec<(String, NaiveDate)> = query.fetch_all(&mut *connection).await?;
        people.extend(rows.into_iter().map(Person::from_row));
    }
    Ok(people)
}

/// `list`, unless it is empty because `of` is not a user.
async fn unless_unknown<T>(
    connection: &mut PgConnection,
    terms: Terms<'_>,
    of: &Username,
    list: Vec<T>,
) -> Result<Result<Vec<T>, UnknownUser>, RunError> {
    if list.is_empty() {
        let exists: bool = sqlx::query_scalar(sql::USER_EXISTS)
            .bind(of.as_str())
            .persistent(terms.persistent)
            .fetch_one(connection)
            .await?;
        if !exists {
            return Ok(Err(UnknownUser(of.clone())));
        }
    }
    Ok(Ok(list))
}

impl Users for PostgresStore {
    fn users(&self, range: NameRange, limit: u32) -> StoreFuture<'_, Vec<Person>> {
        self.query(ListUsers { range, limit })
    }

    fn birthdays(&self, span: BirthdaySpan, limit: u32) -> StoreFuture<'_, Vec<Person>> {
        self.query(ListBirthdays { span, limit })
    }
}

impl Friendships for PostgresStore {
    fn befriend(&self, pair: Pair) -> StoreFuture<'_, Result<Asked, UnknownUser>> {
        self.query(Befriend(pair))
    }

    fn friendship(&self, pair: Pair) -> StoreFuture<'_, Result<Option<Friendship>, UnknownUser>> {
        self.query(ReadFriendship(pair))
    }

    fn unfriend(&self, pair: Pair) -> StoreFuture<'_, ()> {
        self.query(Unfriend(pair))
    }

    fn friends(&self, list: FriendList) -> StoreFuture<'_, Result<Vec<Friend>, UnknownUser>> {
        self.long_query(|share| ListFriends {
            _share: share,
            list,
        })
    }

    fn friend_birthdays(
        &self,
        of: Username,
        span: BirthdaySpan,
        limit: u32,
    ) -> StoreFuture<'_, Result<Vec<Person>, UnknownUser>> {
        self.long_query(move |share| ListFriendBirthdays {
            _share: share,
            of,
            span,
            limit,
        })
    }
}
