//! Statements that both databases understand alike.

/// Users from a name, included, to another, excluded. `$3` is the limit.
pub const USERS: &str = "SELECT username, date_of_birth FROM users \
     WHERE username >= $1 AND username < $2 ORDER BY username LIMIT $3";

/// Whether there is a user.
pub const USER_EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE username = $1)";

/// Whether either of a pair is a user, and their friendship.
pub const FRIENDSHIP: &str = "SELECT \
     EXISTS (SELECT 1 FROM users WHERE username = $1), \
     EXISTS (SELECT 1 FROM users WHERE username = $2), \
     (SELECT requested_by_low FROM friendships WHERE low = $1 AND high = $2), \
     (SELECT accepted FROM friendships WHERE low = $1 AND high = $2)";

/// Friends of `$1` from the name `$2`, in one of the states `$3` and `$4`. `$5` is the limit.
/// Each half comes in the order of an index, and neither reads beyond the limit.
pub const FRIENDS: &str = "SELECT friend, asked, accepted FROM (\
     SELECT * FROM (SELECT high AS friend, NOT requested_by_low AS asked, accepted \
         FROM friendships WHERE low = $1 AND high >= $2 AND accepted IN ($3, $4) \
         ORDER BY high LIMIT $5) AS seconds \
     UNION ALL \
     SELECT * FROM (SELECT low AS friend, requested_by_low AS asked, accepted \
         FROM friendships WHERE high = $1 AND low >= $2 AND accepted IN ($3, $4) \
         ORDER BY low LIMIT $5) AS firsts\
     ) AS both_halves ORDER BY friend LIMIT $5";

/// Users from a day of the year and a name, included, to the end of another day; `$4` is the
/// limit. Takes the expression for the day of the year, exactly as the index has it.
macro_rules! birthdays {
    ($month_day:literal) => {
        concat!(
            "SELECT username, date_of_birth FROM users WHERE (",
            $month_day,
            ", username) >= ($1, $2) AND ",
            $month_day,
            " <= $3 ORDER BY ",
            $month_day,
            ", username LIMIT $4"
        )
    };
}

/// The same among the accepted friends of `$5`.
macro_rules! friend_birthdays {
    ($month_day:literal) => {
        concat!(
            "SELECT username, date_of_birth FROM users JOIN (",
            "SELECT high AS friend FROM friendships WHERE low = $5 AND accepted ",
            "UNION ALL ",
            "SELECT low AS friend FROM friendships WHERE high = $5 AND accepted",
            ") AS friends ON friend = username WHERE (",
            $month_day,
            ", username) >= ($1, $2) AND ",
            $month_day,
            " <= $3 ORDER BY ",
            $month_day,
            ", username LIMIT $4"
        )
    };
}

pub(super) use {birthdays, friend_birthdays};
