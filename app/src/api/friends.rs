//! `/users/{username}/friends`: friendships, and the birthdays of friends.

use std::str::FromStr;

use http::StatusCode;
use serde::Serialize;
use strum::EnumString;

use super::context::Api;
use super::cursor::Cursor;
use super::problem::Problem;
use super::problem_kind::ProblemKind;
use super::query::{Query, invalid};
use super::response::{no_content, to_json};
use super::username;
#[cfg(test)]
use super::username::NameParameter;
#[cfg(test)]
use super::users::UserPage;
use super::users::{BirthdayList, cut};
use crate::domain::{Friendship, MAX_DAYS_AHEAD, Pair, Username};
use crate::serving::Response;
use crate::store::people::{Friend, FriendList, UnknownUser};

/// How far ahead friends' birthdays are listed by default, in days.
pub const DEFAULT_WITHIN: u32 = 30;

/// The state of a friendship.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FriendshipState {
    /// Neither has asked.
    None,
    /// One has asked, and the other has not answered.
    Pending,
    /// Both are friends.
    Accepted,
}

impl FriendshipState {
    fn from_accepted(accepted: bool) -> Self {
        if accepted {
            Self::Accepted
        } else {
            Self::Pending
        }
    }
}

/// The friendship of two users.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FriendshipStatus {
    /// Its state.
    pub state: FriendshipState,
    /// The user who asked; missing when neither has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
}

/// A friend, or a user with a pending friendship.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FriendEntry {
    /// The friend's name.
    pub username: String,
    /// The state of the friendship: `pending` or `accepted`.
    pub state: FriendshipState,
    /// The user who asked.
    pub requested_by: String,
}

/// A page of a list of friends.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FriendPage {
    /// The friends, ordered by name.
    pub friends: Vec<FriendEntry>,
    /// The cursor of the next page; missing on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The states of friendships that can be listed.
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(rename_all = "lowercase"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum StateFilter {
    /// Asked for, not answered.
    Pending,
    /// Both are friends.
    Accepted,
}

/// Gets the friendship of two users
#[cfg_attr(test, utoipa::path(
    get,
    operation_id = "getFriendship",
    path = "/users/{username}/friends/{friend}",
    tag = "Friends",
    params(
        ("username" = inline(NameParameter), Path, description = "One of the two users"),
        ("friend" = inline(NameParameter), Path, description = "The other user"),
    ),
    responses(
        (status = 200, description = "None, pending or accepted, and who asked", body = FriendshipStatus),
        (status = 400, description = "A name breaks a rule, or both are the same"),
        (status = 404, description = "One of the two is not a user; `errors` names it"),
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
/// On behalf of `username`. A friendship that `friend` has asked for becomes accepted. Repeating
/// the request changes nothing.
#[cfg_attr(test, utoipa::path(
    put,
    operation_id = "putFriendship",
    path = "/users/{username}/friends/{friend}",
    tag = "Friends",
    params(
        ("username" = inline(NameParameter), Path, description = "The user who asks or accepts"),
        ("friend" = inline(NameParameter), Path, description = "The other user"),
    ),
    responses(
        (status = 200, description = "Accepted, or still pending when the request is repeated", body = FriendshipStatus),
        (status = 201, description = "Asked for; pending", body = FriendshipStatus),
        (status = 400, description = "A name breaks a rule, or both are the same"),
        (status = 404, description = "One of the two is not a user; `errors` names it"),
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

/// Ends, declines or withdraws a friendship
///
/// Succeeds also when there is none.
#[cfg_attr(test, utoipa::path(
    delete,
    operation_id = "deleteFriendship",
    path = "/users/{username}/friends/{friend}",
    tag = "Friends",
    params(
        ("username" = inline(NameParameter), Path, description = "One of the two users"),
        ("friend" = inline(NameParameter), Path, description = "The other user"),
    ),
    responses(
        (status = 204, description = "There is no friendship of the two any more"),
        (status = 400, description = "A name breaks a rule, or both are the same"),
    ),
))]
pub async fn delete(api: &Api, username: &str, friend: &str) -> Result<Response, Problem> {
    let names = Names::parse(api, username, friend)?;
    api.store.unfriend(names.pair()?).await?;
    Ok(no_content())
}

/// Lists friends, ordered by name
#[cfg_attr(test, utoipa::path(
    get,
    operation_id = "listFriends",
    path = "/users/{username}/friends",
    tag = "Friends",
    params(
        ("username" = inline(NameParameter), Path, description = "The user whose friends are listed"),
        ("state" = inline(Option<StateFilter>), Query, description = "Only friendships in this state"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100,
            description = "Entries in a page; default 50"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses(
        (status = 200, description = "A page of friends", body = FriendPage),
        (status = 400, description = "The name or a parameter breaks a rule"),
        (status = 404, description = "No such user"),
    ),
))]
pub async fn list(api: &Api, username: &str, query: Option<&str>) -> Result<Response, Problem> {
    let of = username::parse(api, "username", username)?;
    let query = Query::parse(query, &["state", "limit", "cursor"])?;
    let state = query
        .get("state")
        .map(StateFilter::from_str)
        .transpose()
        .map_err(|_| invalid("state", "must be pending or accepted"))?;
    let limit = query.limit()?;
    let list = FriendList {
        of: of.clone(),
        accepted: state.map(|state| state == StateFilter::Accepted),
        after: Cursor::name(&query)?,
        limit: limit + 1,
    };
    let friends = api.store.friends(list).await?.map_err(unknown_user)?;
    let next = |last: &Friend| Cursor::Name(last.username.clone());
    let (friends, next_cursor) = cut(friends, limit, next);
    let entry = |friend: Friend| FriendEntry {
        state: FriendshipState::from_accepted(friend.accepted),
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
/// Accepted friends only. A friend with the name `birthdays` is reached as `%62irthdays`.
#[cfg_attr(test, utoipa::path(
    get,
    operation_id = "listFriendBirthdays",
    path = "/users/{username}/friends/birthdays",
    tag = "Friends",
    params(
        ("username" = inline(NameParameter), Path, description = "The user whose friends are listed"),
        ("within" = Option<u32>, Query, minimum = 0, maximum = 366,
            description = "How many days ahead birthdays are listed; default 30"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100,
            description = "Entries in a page; default 50"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses(
        (status = 200, description = "A page of users", body = UserPage),
        (status = 400, description = "The name or a parameter breaks a rule"),
        (status = 404, description = "No such user"),
    ),
))]
pub async fn birthdays(
    api: &Api,
    username: &str,
    query: Option<&str>,
) -> Result<Response, Problem> {
    let of = username::parse(api, "username", username)?;
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
            username: username::parse(api, "username", username)?,
            friend: username::parse(api, "friend", friend)?,
        })
    }

    fn pair(&self) -> Result<Pair, Problem> {
        Pair::new(self.username.clone(), self.friend.clone()).ok_or_else(|| {
            let detail = "must be another user";
            Problem::parameter(ProblemKind::SelfFriendship, "friend", detail)
        })
    }

    /// 404 that names the parameter of the unknown user.
    fn unknown(&self, unknown: &UnknownUser) -> Problem {
        let parameter = if unknown.0 == self.friend {
            "friend"
        } else {
            "username"
        };
        Problem::parameter(ProblemKind::UnknownUser, parameter, "is not a user")
    }
}

fn unknown_user(_: UnknownUser) -> Problem {
    Problem::parameter(ProblemKind::UnknownUser, "username", "is not a user")
}

fn status(friendship: Option<Friendship>) -> Response {
    let state = friendship
        .as_ref()
        .map_or(FriendshipState::None, |friendship| {
            FriendshipState::from_accepted(friendship.accepted)
        });
    to_json(&FriendshipStatus {
        state,
        requested_by: friendship.map(|friendship| friendship.requested_by.as_str().into()),
    })
}
