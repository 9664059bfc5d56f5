//! `seed`: fills a database with made-up people, the same for the same seed.

use std::io::{IsTerminal, Write};

use chrono::{Days, NaiveDate};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::config::{SeedConfig, SeedOptions};
use crate::domain::{DateOfBirth, Username};
use crate::store::people::Person;
use crate::store::schema::MigrationError;
use crate::store::{DatabaseUrl, InvalidDatabaseUrl, NoServer, SqliteStore, connect_first, schema};

/// People that are written in one transaction.
const BATCH: u32 = 1000;
/// One of this many people is born on 29 February, beginning with the first.
const LEAP_EVERY: u32 = 100;

const GIVEN_NAMES: [&str; 32] = [
    "Ada", "Amir", "Anna", "Ben", "Chen", "Chiara", "Dana", "Diego", "Elif", "Emma", "Felix",
    "Fatou", "Hana", "Hugo", "Ines", "Ivan", "Jana", "Jonas", "Kai", "Lara", "Leo", "Lin", "Maja",
    "Mia", "Nia", "Noah", "Omar", "Rosa", "Sara", "Tom", "Yara", "Zoe",
];

/// Why a database was not filled.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The database URL cannot be used.
    #[error("{0}")]
    Url(#[from] InvalidDatabaseUrl),
    /// There is no connection.
    #[error("{0}")]
    NotConnected(#[from] NoServer),
    /// The database failed.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    /// The embedded database cannot be opened.
    #[error("{0}")]
    Embedded(#[from] MigrationError),
    /// The schema is older than this program.
    #[error("the schema is at version {found}, this program needs {needed}: migrate first")]
    Schema {
        /// The database's version.
        found: i64,
        /// The version that is needed.
        needed: i64,
    },
}

/// Writes the people. Running it again changes nothing; other people stay.
///
/// # Errors
/// See [`SeedError`]. What was written before stays.
pub async fn run(config: SeedConfig) -> Result<(), SeedError> {
    let SeedOptions { count, seed } = config.people;
    let progress = Progress::new(count);
    match config.database.read()? {
        DatabaseUrl::Postgres(url) => {
            let (connection, _) = connect_first(&url).await?;
            seed_postgres(connection, batches(count, seed), progress).await?;
        }
        DatabaseUrl::Sqlite(options) => {
            seed_sqlite(&options, batches(count, seed), progress).await?;
        }
    }
    tracing::info!(people = count, seed, "seeded");
    Ok(())
}

async fn seed_postgres(
    mut connection: PgConnection,
    batches: impl Iterator<Item = Vec<Person>>,
    mut progress: Progress,
) -> Result<(), SeedError> {
    let found = schema::postgres_state(&mut connection).await?.version;
    let needed = schema::postgres_version();
    if found < needed {
        return Err(SeedError::Schema { found, needed });
    }
    for batch in batches {
        let (names, dates): (Vec<&str>, Vec<NaiveDate>) = columns(&batch).unzip();
        sqlx::query(
            "INSERT INTO users (username, date_of_birth) \
             SELECT * FROM unnest($1::text[], $2::date[]) ORDER BY 1 \
             ON CONFLICT (username) DO UPDATE SET date_of_birth = EXCLUDED.date_of_birth",
        )
        .bind(&names)
        .bind(&dates)
        .execute(&mut connection)
        .await?;
        progress.add(batch.len());
    }
    connection.close().await?;
    Ok(())
}

async fn seed_sqlite(
    options: &SqliteConnectOptions,
    batches: impl Iterator<Item = Vec<Person>>,
    mut progress: Progress,
) -> Result<(), SeedError> {
    SqliteStore::open(options).await?; // creates and migrates the file
    let mut connection = options.connect().await?;
    for batch in batches {
        let mut transaction = connection.begin().await?;
        for (name, date) in columns(&batch) {
            sqlx::query(
                "INSERT INTO users (username, date_of_birth) VALUES ($1, $2) ON CONFLICT \
                 (username) DO UPDATE SET date_of_birth = excluded.date_of_birth",
            )
            .bind(name)
            .bind(date)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        progress.add(batch.len());
    }
    connection.close().await?;
    Ok(())
}

fn columns(people: &[Person]) -> impl Iterator<Item = (&str, NaiveDate)> {
    people
        .iter()
        .map(|person| (person.username.as_str(), person.born.as_date()))
}

fn batches(count: u32, seed: u64) -> impl Iterator<Item = Vec<Person>> {
    (0..count).step_by(BATCH as usize).map(move |first| {
        let end = first.saturating_add(BATCH).min(count);
        (first..end).map(|index| person(seed, index)).collect()
    })
}

/// The person number `index` that `seed` makes.
fn person(seed: u64, index: u32) -> Person {
    let random = mix(mix(seed).wrapping_add(index.into()));
    // Both fit by far: the remainders are small.
    let pick = |bits: u64, below: usize| usize::try_from(bits % below as u64).unwrap_or(0);
    let given = GIVEN_NAMES[pick(random, GIVEN_NAMES.len())];
    let born = if index.is_multiple_of(LEAP_EVERY) {
        let year = 1920 + 4 * i32::try_from((random >> 32) % 25).unwrap_or(0);
        NaiveDate::from_ymd_opt(year, 2, 29)
    } else {
        NaiveDate::from_ymd_opt(1920, 1, 1).map(|first| first + Days::new((random >> 32) % 36_500))
    };
    Person {
        username: Username::from_stored(format!("{given}{}", surname(index))),
        born: DateOfBirth::from_stored(born.unwrap_or_default()),
    }
}

/// The index in letters, the first a capital: no two people have the same name.
fn surname(mut index: u32) -> String {
    let letter = |number: u32, first: u8| char::from(first + u8::try_from(number).unwrap_or(0));
    let mut letters = Vec::new();
    while index >= 26 {
        letters.push(letter(index % 26, b'a'));
        index = index / 26 - 1;
    }
    letters.push(letter(index, b'A'));
    letters.into_iter().rev().collect()
}

/// SplitMix64: a number that looks random, the same for the same input.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A bar on a terminal; nothing elsewhere.
struct Progress {
    done: usize,
    total: usize,
    visible: bool,
}

impl Progress {
    fn new(total: u32) -> Self {
        Self {
            done: 0,
            total: usize::try_from(total).unwrap_or(usize::MAX),
            visible: std::io::stderr().is_terminal(),
        }
    }

    fn add(&mut self, people: usize) {
        self.done += people;
        if self.visible {
            let end = if self.done >= self.total { "\n" } else { "" };
            // A bar that cannot be drawn is no reason to stop.
            let _ = write!(std::io::stderr(), "\r{}{end}", self.bar());
        }
    }

    fn bar(&self) -> String {
        const WIDTH: usize = 40;
        let filled = WIDTH * self.done / self.total.max(1);
        format!(
            "[{}{}] {}/{}",
            "#".repeat(filled),
            ".".repeat(WIDTH.saturating_sub(filled)),
            self.done,
            self.total
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UsernameRule;
    use std::collections::HashSet;

    fn people(count: u32, seed: u64) -> Vec<Person> {
        batches(count, seed).flatten().collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_people_and_more_only_add() {
        assert_eq!(people(2500, 7), people(2500, 7));
        assert_eq!(people(2500, 7)[..10], people(10, 7));
        assert_ne!(people(100, 7), people(100, 8));
        assert!(people(0, 7).is_empty());
    }

    #[test]
    fn everybody_is_valid_and_unique_and_some_are_born_on_29_february() {
        let people = people(20_000, 1);
        let today = NaiveDate::from_ymd_opt(2026, 11, 21).unwrap();
        let mut names = HashSet::new();
        for Person { username, born } in &people {
            assert!(Username::parse(username.as_str(), UsernameRule::Ascii).is_ok());
            let text = born.as_date().to_string();
            assert_eq!(DateOfBirth::parse(&text, today), Ok(*born));
            assert!(names.insert(username));
        }
        let leap = people
            .iter()
            .filter(|person| person.born.as_date().to_string().ends_with("02-29"))
            .count();
        assert!(leap >= 200, "{leap}");
        assert!(people[0].born.as_date().to_string().ends_with("02-29"));
    }

    #[test]
    fn surnames_count_up() {
        for (index, name) in [(0, "A"), (25, "Z"), (26, "Aa"), (701, "Zz"), (702, "Aaa")] {
            assert_eq!(surname(index), name);
        }
        assert!(surname(u32::MAX).len() <= 7);
    }

    #[test]
    fn the_bar_fills() {
        let mut progress = Progress::new(4);
        assert_eq!(progress.bar(), format!("[{}] 0/4", ".".repeat(40)));
        progress.done = 1;
        assert_eq!(
            progress.bar(),
            format!("[{}{}] 1/4", "#".repeat(10), ".".repeat(30))
        );
    }
}
