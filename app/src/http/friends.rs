//! `/users/{username}/friends`: friendships, and why they exist: friends' birthdays.

use http::StatusCode;
use serde::Serialize;

use super::cursor::Cursor;
#[cfg(test)]
use super::openapi::definition::{NameParameter, StateFilter};
use super::query::{Query, invalid};
#[cfg(test)]
use super::users::UserPage;
use super::users::{BirthdayList, cut};
use super::{Api, Problem, ProblemKind, Response, no_content, to_json};
use crate::domain::{Friendship, InvalidUsername, MAX_DAYS_AHEAD, Pair, Username};
use crate::store::people::{Friend, FriendList, UnknownUser};

/// How far ahead friends' birthdays are listed when nothing else is asked for, in days.
pub const DEFAULT_WITHIN: u32 = 30;

/// How far a friendship is.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FriendshipState {
    /// Nobody has asked.
    None,
    /// One has asked, the other has not answered.
    Pending,
    /// Both are friends.
    Accepted,
}

impl FriendshipState {
    fn of(accepted: bool) -> Self {
        if accepted {
            Self::Accepted
        } else {
            Self::Pending
        }
    }
}

/// What is between two users.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FriendshipStatus {
    /// How far it is.
    pub state: FriendshipState,
    /// Who asked; missing when nobody has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
}

/// A friend, or one to be.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FriendEntry {
    /// The friend's name.
    pub username: String,
    /// How far the friendship is: `pending` or `accepted`.
    pub state: FriendshipState,
    /// Who asked.
    pub requested_by: String,
}

/// A page of a list of friends.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FriendPage {
    /// The friends, in the order of names.
    pub friends: Vec<FriendEntry>,
    /// Where the next page begins; missing on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Tells what is between two users
#[cfg_attr(test, utoipa::path(
    get,
    operation_id = "getFriendship",
    path = "/users/{username}/friends/{friend}",
    tag = "Friends",
    params(
        ("username" = inline(NameParameter), Path, description = "One of the two"),
        ("friend" = inline(NameParameter), Path, description = "The other one"),
    ),
    responses(
        (status = 200, description = "None, pending or accepted, and who asked", body = FriendshipStatus),
        (status = 400, description = "A name breaks a rule, or both are the same"),
        (status = 404, description = "One of the two is not a user; `errors` says which"),
    ),
))]
pub async fn get(api: &Api, username: &str, friend: &str) -> Result<Response, Problem> {
    let names = Names::parse(api, username, friend)?;
    let found = api.store.friendship(names.pair()?).await?;
    let found = found.map_err(|unknown| names.unknown(&unknown))?;
    Ok(status(found))
}

/// Asks for a friendship, or accepts it
///
/// On behalf of `username`. What `friend` had asked for becomes accepted. Asking again, or for
/// what is accepted already, changes nothing.
#[cfg_attr(test, utoipa::path(
    put,
    operation_id = "putFriendship",
    path = "/users/{username}/friends/{friend}",
    tag = "Friends",
    params(
        ("username" = inline(NameParameter), Path, description = "Who asks or accepts"),
        ("friend" = inline(NameParameter), Path, description = "The other one"),
    ),
    responses(
        (status = 200, description = "Accepted, or still pending when one asks again", body = FriendshipStatus),
        (status = 201, description = "Asked for: pending", body = FriendshipStatus),
        (status = 400, description = "A name breaks a rule, or both are the same"),
        (status = 404, description = "One of the two is not a user; `errors` says which"),
    ),
))]
pub async fn put(api: &Api, username: &str, friend: &str) -> Result<Response, Problem> {
    let names = Names::parse(api, username, friend)?;
    let asked = api.store.befriend(names.pair()?).await?;
    let asked = asked.map_err(|unknown| names.unknown(&unknown))?;
    let mut response = status(Some(asked.friendship));
    if asked.created {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

/// Ends a friendship, declines it or takes it back
///
/// Succeeds also when there was nothing to end.
#[cfg_attr(test, utoipa::path(
    delete,
    operation_id = "deleteFriendship",
    path = "/users/{username}/friends/{friend}",
    tag = "Friends",
    params(
        ("username" = inline(NameParameter), Path, description = "One of the two"),
        ("friend" = inline(NameParameter), Path, description = "The other one"),
    ),
    responses(
        (status = 204, description = "There is nothing between the two now"),
        (status = 400, description = "A name breaks a rule, or both are the same"),
    ),
))]
pub async fn delete(api: &Api, username: &str, friend: &str) -> Result<Response, Problem> {
    let names = Names::parse(api, username, friend)?;
    api.store.unfriend(names.pair()?).await?;
    Ok(no_content())
}

/// Lists friends, in the order of names
#[cfg_attr(test, utoipa::path(
    get,
    operation_id = "listFriends",
    path = "/users/{username}/friends",
    tag = "Friends",
    params(
        ("username" = inline(NameParameter), Path, description = "Whose friends"),
        ("state" = inline(Option<StateFilter>), Query, description = "Only friendships in this state"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100,
            description = "Entries of a page, 50 unless given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of friends", body = FriendPage),
        (status = 400, description = "The name or a parameter breaks a rule"),
        (status = 404, description = "Not a user"),
    ),
))]
pub async fn list(api: &Api, username: &str, query: Option<&str>) -> Result<Response, Problem> {
    let of = parse(api, "username", username)?;
    let query = Query::parse(query, &["state", "limit", "cursor"])?;
    let accepted = match query.get("state") {
        None => None,
        Some("pending") => Some(false),
        Some("accepted") => Some(true),
        Some(_) => return Err(invalid("state", "must be pending or accepted")),
    };
    let limit = query.limit()?;
    let list = FriendList {
        of: of.clone(),
        accepted,
        after: Cursor::name(&query)?,
        limit: limit + 1,
    };
    let friends = api.store.friends(list).await?.map_err(unknown_user)?;
    let next = |last: &Friend| Cursor::Name(last.username.clone());
    let (friends, next_cursor) = cut(friends, limit, next);
    let entry = |friend: Friend| FriendEntry {
        state: FriendshipState::of(friend.accepted),
        requested_by: if friend.asked { &friend.username } else { &of }
            .as_str()
            .into(),
        username: friend.username.as_str().into(),
    };
    Ok(to_json(&FriendPage {
        friends: friends.into_iter().map(entry).collect(),
        next_cursor,
    }))
}

/// Lists friends' birthdays, nearest first
///
/// Only accepted friends. A friend of the name `birthdays` is reached as `%62irthdays`.
#[cfg_attr(test, utoipa::path(
    get,
    operation_id = "listFriendBirthdays",
    path = "/users/{username}/friends/birthdays",
    tag = "Friends",
    params(
        ("username" = inline(NameParameter), Path, description = "Whose friends"),
        ("within" = Option<u32>, Query, minimum = 0, maximum = 366,
            description = "Only birthdays in the next so many days, 30 unless given"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100,
            description = "Entries of a page, 50 unless given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of users", body = UserPage),
        (status = 400, description = "The name or a parameter breaks a rule"),
        (status = 404, description = "Not a user"),
    ),
))]
pub async fn birthdays(
    api: &Api,
    username: &str,
    query: Option<&str>,
) -> Result<Response, Problem> {
    let of = parse(api, "username", username)?;
    let query = Query::parse(query, &["within", "limit", "cursor"])?;
    let days = query
        .number("within", 0, MAX_DAYS_AHEAD)?
        .unwrap_or(DEFAULT_WITHIN);
    let list = BirthdayList::read(api, &query, days)?;
    let limit = list.limit + 1;
    let people = api.store.friend_birthdays(of, list.span(), limit).await?;
    Ok(list.page(api, people.map_err(unknown_user)?))
}

/// The two names of a path.
struct Names {
    username: Username,
    friend: Username,
}

impl Names {
    fn parse(api: &Api, username: &str, friend: &str) -> Result<Self, Problem> {
        Ok(Self {
            username: parse(api, "username", username)?,
            friend: parse(api, "friend", friend)?,
        })
    }

    fn pair(&self) -> Result<Pair, Problem> {
        Pair::new(self.username.clone(), self.friend.clone()).ok_or_else(|| {
            let detail = "must be somebody else";
            Problem::parameter(ProblemKind::SelfFriendship, "friend", detail)
        })
    }

    /// 404 that says which of the two is meant.
    fn unknown(&self, unknown: &UnknownUser) -> Problem {
        let parameter = if unknown.0 == self.friend {
            "friend"
        } else {
            "username"
        };
        Problem::parameter(ProblemKind::UnknownUser, parameter, "is not a user")
    }
}

fn parse(api: &Api, parameter: &'static str, segment: &str) -> Result<Username, Problem> {
    Username::from_path_segment(segment, api.usernames).map_err(|error: InvalidUsername| {
        Problem::parameter(ProblemKind::InvalidUsername, parameter, error.to_string())
    })
}

fn unknown_user(_: UnknownUser) -> Problem {
    Problem::parameter(ProblemKind::UnknownUser, "username", "is not a user")
}

fn status(friendship: Option<Friendship>) -> Response {
    let state = friendship
        .as_ref()
        .map_or(FriendshipState::None, |friendship| {
            FriendshipState::of(friendship.accepted)
        });
    to_json(&FriendshipStatus {
        state,
        requested_by: friendship.map(|friendship| friendship.requested_by.as_str().into()),
    })
}
