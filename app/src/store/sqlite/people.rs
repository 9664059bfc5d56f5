//! Lists of users, and friendships.

use chrono::NaiveDate;
use futures::FutureExt;
use sqlx::sqlite::SqliteConnection;

use super::{SqliteStore, store_error};
use crate::domain::{Friendship, NameRange, Pair, Username};
use crate::store::people::{
    Asked, BirthdaySpan, Friend, FriendList, Friendships, Person, UnknownUser, Users,
    stored_friendship,
};
use crate::store::sql::{self, birthdays, friend_birthdays};
use crate::store::{StoreError, StoreFuture};

const BIRTHDAYS: &str =
    birthdays!("CAST(substr(date_of_birth, 6, 2) || substr(date_of_birth, 9, 2) AS INTEGER)");
const FRIEND_BIRTHDAYS: &str = friend_birthdays!(
    "CAST(substr(date_of_birth, 6, 2) || substr(date_of_birth, 9, 2) AS INTEGER)"
);

impl SqliteStore {
    /// Reads a span range by range: of all users, or of the friends of `of`.
    async fn span(
        &self,
        span: BirthdaySpan,
        of: Option<&Username>,
        limit: u32,
    ) -> Result<Vec<Person>, StoreError> {
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
                .bind(left);
            if let Some(of) = of {
                query = query.bind(of.as_str());
            }
            let rows: Vec<(String, NaiveDate)> =
                query.fetch_all(&self.reads).await.map_err(store_error)?;
            people.extend(rows.into_iter().map(Person::from_row));
        }
        Ok(people)
    }

    /// `list`, unless it is empty because `of` is not a user.
    async fn unless_unknown<T>(
        &self,
        of: Username,
        list: Vec<T>,
    ) -> Result<Result<Vec<T>, UnknownUser>, StoreError> {
        if list.is_empty() {
            let exists: bool = sqlx::query_scalar(sql::USER_EXISTS)
                .bind(of.as_str())
                .fetch_one(&self.reads)
                .await
                .map_err(store_error)?;
            if !exists {
                return Ok(Err(UnknownUser(of)));
            }
        }
        Ok(Ok(list))
    }
}

/// What is stored of a pair.
async fn read_pair(
    connection: &mut SqliteConnection,
    pair: &Pair,
) -> Result<Result<Option<Friendship>, UnknownUser>, sqlx::Error> {
    let (low, high, requested_by_low, accepted): (bool, bool, Option<bool>, Option<bool>) =
        sqlx::query_as(sql::FRIENDSHIP)
            .bind(pair.low().as_str())
            .bind(pair.high().as_str())
            .fetch_one(connection)
            .await?;
    Ok(stored_friendship(
        pair,
        (low, high),
        requested_by_low.zip(accepted),
    ))
}

/// Requests a friendship in one transaction that excludes other writers.
async fn request(
    connection: &mut SqliteConnection,
    pair: &Pair,
) -> Result<Result<Asked, UnknownUser>, sqlx::Error> {
    let stored = match read_pair(connection, pair).await? {
        Err(unknown) => return Ok(Err(unknown)),
        Ok(stored) => stored,
    };
    let created = stored.is_none();
    if let Some(friendship) = stored
        && (friendship.accepted || friendship.requested_by == *pair.actor())
    {
        return Ok(Ok(Asked {
            friendship,
            created,
        }));
    }
    let (requested_by_low, accepted) = sqlx::query_as(
        "INSERT INTO friendships (low, high, requested_by_low) VALUES ($1, $2, $3) \
         ON CONFLICT (low, high) DO UPDATE \
         SET accepted = accepted OR requested_by_low <> excluded.requested_by_low \
         RETURNING requested_by_low, accepted",
    )
    .bind(pair.low().as_str())
    .bind(pair.high().as_str())
    .bind(pair.actor_is_low())
    .fetch_one(connection)
    .await?;
    Ok(Ok(Asked {
        friendship: pair.friendship(requested_by_low, accepted),
        created,
    }))
}

impl Users for SqliteStore {
    fn users(&self, range: NameRange, limit: u32) -> StoreFuture<'_, Vec<Person>> {
        async move {
            let rows: Vec<(String, NaiveDate)> = sqlx::query_as(sql::USERS)
                .bind(range.from())
                .bind(range.below())
                .bind(limit)
                .fetch_all(&self.reads)
                .await
                .map_err(store_error)?;
            Ok(rows.into_iter().map(Person::from_row).collect())
        }
        .boxed()
    }

    fn birthdays(&self, span: BirthdaySpan, limit: u32) -> StoreFuture<'_, Vec<Person>> {
        async move { self.span(span, None, limit).await }.boxed()
    }
}

impl Friendships for SqliteStore {
    fn befriend(&self, pair: Pair) -> StoreFuture<'_, Result<Asked, UnknownUser>> {
        async move {
            let asked = async {
                let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
                let asked = request(&mut transaction, &pair).await?;
                transaction.commit().await?;
                Ok(asked)
            };
            asked.await.map_err(store_error)
        }
        .boxed()
    }

    fn friendship(&self, pair: Pair) -> StoreFuture<'_, Result<Option<Friendship>, UnknownUser>> {
        async move {
            let mut connection = self.reads.acquire().await.map_err(store_error)?;
            read_pair(&mut connection, &pair).await.map_err(store_error)
        }
        .boxed()
    }

    fn unfriend(&self, pair: Pair) -> StoreFuture<'_, ()> {
        async move {
            sqlx::query("DELETE FROM friendships WHERE low = $1 AND high = $2")
                .bind(pair.low().as_str())
                .bind(pair.high().as_str())
                .execute(&self.writes)
                .await
                .map_err(store_error)?;
            Ok(())
        }
        .boxed()
    }

    fn friends(&self, list: FriendList) -> StoreFuture<'_, Result<Vec<Friend>, UnknownUser>> {
        async move {
            let states = list.states();
            let rows: Vec<(String, bool, bool)> = sqlx::query_as(sql::FRIENDS)
                .bind(list.of.as_str())
                .bind(list.from())
                .bind(states.0)
                .bind(states.1)
                .bind(list.limit)
                .fetch_all(&self.reads)
                .await
                .map_err(store_error)?;
            let friends = rows.into_iter().map(Friend::from_row).collect();
            self.unless_unknown(list.of, friends).await
        }
        .boxed()
    }

    fn friend_birthdays(
        &self,
        of: Username,
        span: BirthdaySpan,
        limit: u32,
    ) -> StoreFuture<'_, Result<Vec<Person>, UnknownUser>> {
        async move {
            let people = self.span(span, Some(&of), limit).await?;
            self.unless_unknown(of, people).await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;
    use sqlx::Connection;

    /// A migrated database.
    async fn migrated() -> SqliteConnection {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        schema::SQLITE
            .run_direct(None, &mut connection, false)
            .await
            .unwrap();
        connection
    }

    #[tokio::test]
    async fn a_request_that_changes_nothing_writes_nothing() {
        let mut connection = migrated().await;
        sqlx::raw_sql("INSERT INTO users VALUES ('alice', '1990-01-01'), ('bob', '1990-01-01')")
            .execute(&mut connection)
            .await
            .unwrap();
        let pair = |actor: &str, other: &str| {
            let name = |text: &str| Username::from_stored(text.into());
            Pair::new(name(actor), name(other)).unwrap()
        };
        // Each request, and whether it changes something.
        for (actor, other, changes) in [
            ("bob", "alice", true),
            ("bob", "alice", false),
            ("alice", "bob", true),
            ("alice", "bob", false),
            ("bob", "alice", false),
        ] {
            let before = changes_so_far(&mut connection).await;
            let asked = request(&mut connection, &pair(actor, other)).await;
            asked.unwrap().unwrap();
            let written = changes_so_far(&mut connection).await - before;
            assert_eq!(written, i64::from(changes), "{actor}");
        }
    }

    async fn changes_so_far(connection: &mut SqliteConnection) -> i64 {
        let total = sqlx::query_scalar("SELECT total_changes()");
        total.fetch_one(connection).await.unwrap()
    }

    /// The steps SQLite would take.
    async fn plan(statement: &'static str) -> Vec<String> {
        let mut connection = migrated().await;
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        rows.into_iter().map(|(.., detail)| detail).collect()
    }

    #[tokio::test]
    async fn lists_come_in_the_order_of_an_index() {
        assert_eq!(
            plan(sql::USERS).await,
            ["SEARCH users USING PRIMARY KEY (username>? AND username<?)"]
        );
        let steps = plan(BIRTHDAYS).await.join("\n");
        assert!(
            steps.starts_with("SEARCH users USING") && steps.contains("INDEX users_by_birthday"),
            "{steps}"
        );
        assert!(!steps.contains("TEMP B-TREE"), "{steps}");
    }

    #[tokio::test]
    async fn friends_are_found_by_index() {
        for statement in [sql::FRIENDS, FRIEND_BIRTHDAYS] {
            let steps = plan(statement).await.join("\n");
            assert!(
                steps.contains("SEARCH friendships USING PRIMARY KEY (low=?"),
                "{steps}"
            );
            assert!(
                steps.contains("INDEX friendships_by_high (high=?"),
                "{steps}"
            );
            assert!(!steps.contains("SCAN users"), "{steps}");
            assert!(!steps.contains("SCAN friendships"), "{steps}");
        }
    }
}
