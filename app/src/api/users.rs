//! `/users`: lists of users by name or by birthday.

use chrono::NaiveDate;
use serde::Serialize;

use super::context::Api;
use super::cursor::{BirthdayPlace, Cursor};
use super::problem::Problem;
use super::query::{Query, invalid};
use super::response::to_json;
use crate::domain::{
    BirthdayWindow, DateOfBirth, MAX_DAYS_AHEAD, MonthDay, NameRange, days_until_birthday,
};
use crate::serving::Response;
use crate::store::people::{BirthdaySpan, Person};

/// A user.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The name, in NFC.
    #[cfg_attr(test, schema(example = "alice"))]
    pub username: String,
    /// The date of birth.
    #[cfg_attr(test, schema(format = Date, example = "1990-04-23"))]
    pub date_of_birth: String,
    /// Whole days until the next birthday, 0 on the day itself.
    #[cfg_attr(test, schema(maximum = 366))]
    pub days_until_birthday: u32,
}

/// A page of a list of users.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserPage {
    /// The users.
    pub users: Vec<User>,
    /// The cursor of the next page; missing on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Lists users
///
/// Ordered by name, or by birthday when `birthdayWithin` is given. Pages are stable: adding or
/// removing users between two pages shifts nothing. All pages of a list of birthdays are as of the
/// day of the first page.
#[cfg_attr(test, utoipa::path(
    get,
    operation_id = "listUsers",
    path = "/users",
    tag = "Users",
    params(
        ("prefix" = Option<String>, Query, max_length = 64,
            description = "Only names that begin with this text"),
        ("birthdayWithin" = Option<u32>, Query, minimum = 0, maximum = 366,
            description = "How many days ahead birthdays are listed, nearest first; cannot be combined with `prefix`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100,
            description = "Entries in a page; default 50"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses(
        (status = 200, description = "A page of users", body = UserPage),
        (status = 400, description = "A parameter breaks a rule"),
    ),
))]
pub async fn list(api: &Api, query: Option<&str>) -> Result<Response, Problem> {
    let query = Query::parse(query, &["prefix", "birthdayWithin", "limit", "cursor"])?;
    match query.number("birthdayWithin", 0, MAX_DAYS_AHEAD)? {
        None => by_name(api, &query).await,
        Some(_) if query.get("prefix").is_some() => {
            Err(invalid("prefix", "cannot be combined with birthdayWithin"))
        }
        Some(days) => by_birthday(api, &query, days).await,
    }
}

async fn by_name(api: &Api, query: &Query) -> Result<Response, Problem> {
    let limit = query.limit()?;
    let after = Cursor::name(query)?;
    let range = NameRange::beginning_with(query.get("prefix").unwrap_or_default())
        .map_err(|error| invalid("prefix", error.to_string()))?;
    let people = match (range, after) {
        (None, _) => Vec::new(), // no name begins with the prefix
        (Some(range), None) => api.store.users(range, limit + 1).await?,
        (Some(range), Some(after)) => api.store.users(range.after(&after), limit + 1).await?,
    };
    let next = |last: &Person| Cursor::Name(last.username.clone());
    Ok(page(api, people, limit, api.calendar.today(), next))
}

async fn by_birthday(api: &Api, query: &Query, days: u32) -> Result<Response, Problem> {
    let list = BirthdayList::read(api, query, days)?;
    let people = api.store.birthdays(list.span(), list.limit + 1).await?;
    Ok(list.page(api, people))
}

/// A request for a page of a list of birthdays.
pub struct BirthdayList {
    today: NaiveDate,
    window: BirthdayWindow,
    after: Option<(MonthDay, crate::domain::Username)>,
    /// The most entries of a page.
    pub limit: u32,
}

impl BirthdayList {
    /// The birthdays in the next `days` days, from the cursor of the query on.
    ///
    /// # Errors
    /// 400 that names the parameter.
    pub fn read(api: &Api, query: &Query, days: u32) -> Result<Self, Problem> {
        let limit = query.limit()?;
        let place = Cursor::birthday(query)?;
        let today = place
            .as_ref()
            .map_or_else(|| api.calendar.today(), |place| place.today);
        Ok(Self {
            today,
            window: BirthdayWindow::new(today, days, api.leap_day),
            after: place.map(|place| (place.birthday, place.username)),
            limit,
        })
    }

    /// The birthdays to read from the store.
    pub fn span(&self) -> BirthdaySpan {
        BirthdaySpan::new(self.window, self.after.clone())
    }

    /// The response, from up to one person more than the limit.
    pub fn page(&self, api: &Api, people: Vec<Person>) -> Response {
        page(api, people, self.limit, self.today, |last| {
            Cursor::Birthday(BirthdayPlace {
                today: self.today,
                birthday: MonthDay::from_date(last.born.as_date()),
                username: last.username.clone(),
            })
        })
    }
}

fn page(
    api: &Api,
    people: Vec<Person>,
    limit: u32,
    today: NaiveDate,
    cursor: impl FnOnce(&Person) -> Cursor,
) -> Response {
    let (people, next_cursor) = cut(people, limit, cursor);
    let user = |person: Person| User {
        username: person.username.as_str().into(),
        date_of_birth: person.born.as_date().to_string(),
        days_until_birthday: days_until(api, person.born, today),
    };
    to_json(&UserPage {
        users: people.into_iter().map(user).collect(),
        next_cursor,
    })
}

fn days_until(api: &Api, born: DateOfBirth, today: NaiveDate) -> u32 {
    days_until_birthday(born, today, api.leap_day)
}

/// The first `limit` entries, and the cursor of the next page when there are more.
pub fn cut<T>(
    mut entries: Vec<T>,
    limit: u32,
    cursor: impl FnOnce(&T) -> Cursor,
) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if entries.len() <= limit {
        return (entries, None);
    }
    entries.truncate(limit);
    let next = entries.last().map(|last| cursor(last).encode());
    (entries, next)
}
