//! Which names are accepted, and when birthdays are.

use jiff::tz::TimeZone;

use super::check::{choice, zone};
use super::group::option_group;
use super::option::value;
use crate::domain::{LeapDay, UsernameRule};

option_group! {
    /// Which names are accepted, and when birthdays are.
    "Greetings" => pub struct GreetingOptions {
        /// Time zone that decides which day it is.
        time_zone: TimeZone = value(
            "HELLO_TIME_ZONE", "UTC", "an IANA time zone such as Europe/Berlin", zone),
        /// Birthday, in common years, of people born on 29 February.
        leap_day: LeapDay = value("HELLO_LEAP_DAY", "feb28", "`feb28` or `mar1`", choice),
        /// Letters that a user name may hold.
        usernames: UsernameRule = value("HELLO_USERNAMES", "unicode", "`unicode` or `ascii`", choice),
    }
}
