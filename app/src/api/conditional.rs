//! Conditional requests (RFC 9110, section 13): entity tags of greetings, and the headers that
//! compare them.
//!
//! A greeting follows from the birthday, the day and the rule for 29 February; its tag names
//! these three, and nothing that the greeting does not tell: the year of birth stays secret. So the
//! state that a client has seen can be read back from the tag, and the store can compare it in the
//! statement that writes.

use chrono::Datelike;
use http::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::{StatusCode, header};

use super::problem::Problem;
use super::problem_kind::ProblemKind;
use super::response::no_content;
use crate::domain::{DateOfBirth, LeapDay, MonthDay, Today};
use crate::serving::Response;
use crate::store::Precondition;

/// Makes and reads the tags of one day.
#[derive(Debug, Clone, Copy)]
pub struct Tags {
    /// The day.
    pub today: Today,
    /// When people born on 29 February celebrate.
    pub leap_day: LeapDay,
}

/// The tags of one header.
#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    /// `*`: whatever there is.
    Any,
    /// The insides of strong tags, then of weak ones.
    Listed(Vec<&'a str>, Vec<&'a str>),
    /// Not a list of tags.
    Malformed,
}

impl Tags {
    /// The tag of the greeting of somebody with this birthday, with its quotes.
    fn tag(self, day: MonthDay) -> String {
        let rule = match self.leap_day {
            LeapDay::Feb28 => "feb28",
            LeapDay::Mar1 => "mar1",
        };
        format!(
            "\"{:04}-{:x}-{rule}\"",
            day.number(),
            self.today.date.num_days_from_ce()
        )
    }

    /// The birthday whose greeting has the tag with this inside today.
    fn day(self, inside: &str) -> Option<MonthDay> {
        let (number, _) = inside.split_once('-')?;
        let day = MonthDay::from_number(number.parse().ok()?)?;
        // Numbers can be written in many ways, tags in one.
        (self.tag(day).trim_matches('"') == inside).then_some(day)
    }

    fn days(self, insides: &[&str]) -> Vec<MonthDay> {
        insides
            .iter()
            .filter_map(|inside| self.day(inside))
            .collect()
    }

    /// Answers a GET whose greeting is `response`: with it, with 304 when the client has it
    /// already, or with 412 when it asks for another one.
    pub fn answer(
        self,
        headers: &HeaderMap,
        born: DateOfBirth,
        response: Response,
    ) -> Result<Response, Problem> {
        let mut response = match (
            Wanted::read(headers, &IF_MATCH),
            Wanted::read(headers, &IF_NONE_MATCH),
        ) {
            (None, None) => response,
            (Some(wanted), _) if !self.if_match(&wanted).allows(Some(born)) => {
                return Err(Problem::new(ProblemKind::PreconditionFailed));
            }
            (_, Some(wanted)) if self.is_known(&wanted, born) => {
                let mut response = no_content();
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response
            }
            _ => response,
        };
        // A caller's own cache may keep it while the day lasts; nobody else's, as it is personal.
        let cache = format!(
            "private, max-age={}, must-revalidate",
            self.today.seconds_left
        );
        for (name, value) in [
            (header::ETAG, self.tag(MonthDay::of(born.as_date()))),
            (header::CACHE_CONTROL, cache),
        ] {
            // Neither holds anything but printable ASCII.
            if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        Ok(response)
    }

    /// Under which condition a change is to be made; `None` when there is none.
    pub fn precondition(self, headers: &HeaderMap) -> Option<Precondition> {
        let wanted = Wanted::read(headers, &IF_MATCH).map(|wanted| self.if_match(&wanted));
        let unwanted = Wanted::read(headers, &IF_NONE_MATCH).map(|unwanted| match unwanted {
            Wanted::Any => Precondition::absent(),
            Wanted::Listed(strong, weak) => {
                Precondition::none_of(self.days(&[strong, weak].concat()))
            }
            // Changing nothing is the safe reading of a condition that cannot be read.
            Wanted::Malformed => Precondition::one_of(Vec::new()),
        });
        match (wanted, unwanted) {
            (Some(wanted), Some(unwanted)) => Some(wanted.and(unwanted)),
            (wanted, unwanted) => wanted.or(unwanted),
        }
    }

    /// Weak tags never match here: they promise too little.
    fn if_match(self, wanted: &Wanted<'_>) -> Precondition {
        match wanted {
            Wanted::Any => Precondition::exists(),
            Wanted::Listed(strong, _) => Precondition::one_of(self.days(strong)),
            Wanted::Malformed => Precondition::one_of(Vec::new()),
        }
    }

    fn is_known(self, known: &Wanted<'_>, born: DateOfBirth) -> bool {
        let day = MonthDay::of(born.as_date());
        match known {
            Wanted::Any => true,
            Wanted::Listed(strong, weak) => {
                self.days(strong).contains(&day) || self.days(weak).contains(&day)
            }
            Wanted::Malformed => false,
        }
    }
}

impl<'a> Wanted<'a> {
    /// The tags of all headers of that name; `None` when there is no such header.
    fn read(headers: &'a HeaderMap, name: &HeaderName) -> Option<Self> {
        if !headers.contains_key(name) {
            return None;
        }
        let mut values = headers.get_all(name).iter();
        if let (Some(value), None) = (values.next(), values.next())
            && value.as_bytes() == b"*"
        {
            return Some(Self::Any);
        }
        let (mut strong, mut weak) = (Vec::new(), Vec::new());
        for value in headers.get_all(name) {
            let Some(()) = read_list(value, &mut strong, &mut weak) else {
                return Some(Self::Malformed);
            };
        }
        Some(Self::Listed(strong, weak))
    }
}

/// Reads `"a", W/"b"`: commas may be inside of a tag, too.
fn read_list<'a>(
    value: &'a HeaderValue,
    strong: &mut Vec<&'a str>,
    weak: &mut Vec<&'a str>,
) -> Option<()> {
    let is_blank = |letter| matches!(letter, ' ' | '\t');
    let mut rest = value.to_str().ok()?;
    loop {
        rest = rest.trim_start_matches(|letter| is_blank(letter) || letter == ',');
        if rest.is_empty() {
            return Some(());
        }
        let (list, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (&mut *weak, quoted),
            None => (&mut *strong, rest),
        };
        let (inside, behind) = quoted.strip_prefix('"')?.split_once('"')?;
        list.push(inside);
        rest = behind.trim_start_matches(is_blank);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;
    use proptest::prelude::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn tags(today: &str) -> Tags {
        let today = Today {
            date: date(today),
            seconds_left: 7,
        };
        Tags {
            today,
            leap_day: LeapDay::Feb28,
        }
    }

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn reads_lists_of_tags() {
        let listed = |strong: &[&'static str], weak: &[&'static str]| {
            Wanted::Listed(strong.into(), weak.into())
        };
        for (values, wanted) in [
            (&["*"][..], Wanted::Any),
            (&[r#""a""#], listed(&["a"], &[])),
            (&[r#""a","b""#, r#"W/"c""#], listed(&["a", "b"], &["c"])),
            (&[r#" , "a,b" ,, W/"" , "#], listed(&["a,b"], &[""])),
            (&[""], listed(&[], &[])),
            (&["a"], Wanted::Malformed),
            (&[r#""a"#], Wanted::Malformed),
            (&[r#""a" "b""#], Wanted::Malformed),
            (&[r#"w/"a""#], Wanted::Malformed),
            (&[r#""a", *"#], Wanted::Malformed),
            (&["*", "*"], Wanted::Malformed),
        ] {
            let headers = headers(IF_MATCH, values);
            assert_eq!(
                Wanted::read(&headers, &IF_MATCH),
                Some(wanted),
                "{values:?}"
            );
        }
        assert_eq!(Wanted::read(&HeaderMap::new(), &IF_MATCH), None);
    }

    #[test]
    fn a_tag_is_of_one_birthday_one_day_and_one_rule() {
        let day = MonthDay::FIRST;
        let today = tags("2026-11-21");
        let other_rule = Tags {
            leap_day: LeapDay::Mar1,
            ..today
        };
        let tag = today.tag(day);
        let inside = tag.trim_matches('"');
        assert_eq!(today.day(inside), Some(day));
        assert_eq!(tags("2026-11-22").day(inside), None);
        assert_eq!(other_rule.day(inside), None);
        for other in [
            inside.replace("feb28", "FEB28"),
            format!("0{inside}"),
            format!("+{inside}"),
            format!("{inside} "),
            inside.replace("feb28", ""),
            String::new(),
        ] {
            assert_eq!(today.day(&other), None, "{other}");
        }
    }

    #[test]
    fn the_year_of_birth_is_not_told() {
        let tag = |born| {
            let born = DateOfBirth::from_stored(date(born));
            let answer = tags("2026-11-21").answer(&HeaderMap::new(), born, no_content());
            answer.unwrap().headers()[header::ETAG].clone()
        };
        assert_eq!(tag("1990-01-01"), tag("2001-01-01"));
        assert_ne!(tag("1990-01-01"), tag("1990-01-02"));
    }

    #[test]
    fn what_cannot_be_read_changes_nothing_and_is_known_by_nobody() {
        let today = tags("2026-11-21");
        let born = DateOfBirth::from_stored(date("1990-01-01"));
        for name in [IF_MATCH, IF_NONE_MATCH] {
            let headers = headers(name, &["nonsense"]);
            assert!(today.precondition(&headers).unwrap().is_never_met());
        }
        let headers = headers(IF_NONE_MATCH, &["nonsense"]);
        let answer = today.answer(&headers, born, no_content()).unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(
            answer.headers()[header::CACHE_CONTROL],
            "private, max-age=7, must-revalidate"
        );
        assert_eq!(today.precondition(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[ -~]{0,30}|[\"W/,* a-f0-9-]{0,30}") {
            for name in [IF_MATCH, IF_NONE_MATCH] {
                let headers = headers(name, &[&text]);
                tags("2026-11-21").precondition(&headers);
            }
        }
    }
}
