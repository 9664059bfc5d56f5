//! Conditional requests (RFC 9110, section 13): entity tags of greetings, and the headers that
//! compare them.
//!
//! A greeting follows from the birthday, the day and the rule for 29 February. Its tag encodes these
//! three and nothing more: like the greeting, it does not disclose the year of birth. So the birthday
//! that a client has seen can be read from the tag, and the store can compare it in the statement
//! that writes.
//!
//! The lists of tags are read here and not by the crate `headers`: its types cannot list the tags,
//! which the store needs, and they skip what is malformed, so that a write would be made.

use chrono::{Datelike, NaiveDate};
use http::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::{StatusCode, header};

use super::problem::Problem;
use super::problem_kind::ProblemKind;
use super::response::no_content;
use crate::domain::{DateOfBirth, LeapDay, MonthDay};
use crate::serving::Response;
use crate::store::Precondition;

/// A greeting is personal, so only the client's own cache may keep it. Another client may change the birthday at any time,
/// so the cache asks each time whether its tag is still the current one.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Makes and reads the tags of one day.
#[derive(Debug, Clone, Copy)]
pub struct Tags {
    /// The day.
    pub today: NaiveDate,
    /// When people born on 29 February celebrate.
    pub leap_day: LeapDay,
}

/// The tags of one header.
#[derive(Debug, PartialEq, Eq)]
enum TagList<'a> {
    /// `*`: any greeting.
    Any,
    /// The contents of the strong tags, then of the weak ones, without quotes.
    Listed(Vec<&'a str>, Vec<&'a str>),
    /// Not a list of tags: the condition never holds.
    Malformed,
}

impl Tags {
    /// The tag of the greeting on this birthday, in quotes.
    fn tag(self, day: MonthDay) -> String {
        let rule: &'static str = self.leap_day.into();
        format!(
            "\"{:04}-{:x}-{rule}\"",
            day.number(),
            self.today.num_days_from_ce()
        )
    }

    /// The birthday whose greeting has today the tag with this content.
    fn day(self, content: &str) -> Option<MonthDay> {
        let (number, _) = content.split_once('-')?;
        let day = MonthDay::from_number(number.parse().ok()?)?;
        // A number can be written in many ways, but a tag is compared byte by byte.
        (self.tag(day).trim_matches('"') == content).then_some(day)
    }

    fn days(self, contents: &[&str]) -> Vec<MonthDay> {
        contents
            .iter()
            .filter_map(|content| self.day(content))
            .collect()
    }

    /// The response to a GET whose greeting is `response`, or 304 when the client has it already.
    ///
    /// # Errors
    /// 412 when `If-Match` does not list it.
    pub fn answer(
        self,
        headers: &HeaderMap,
        born: DateOfBirth,
        response: Response,
    ) -> Result<Response, Problem> {
        let mut response = match (
            TagList::read(headers, &IF_MATCH),
            TagList::read(headers, &IF_NONE_MATCH),
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
        let tag = self.tag(MonthDay::from_date(born.as_date()));
        // It is printable ASCII.
        if let Ok(tag) = HeaderValue::from_maybe_shared(bytes::Bytes::from(tag)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, ASK_AGAIN);
        Ok(response)
    }

    /// The condition of a write; `None` when it is unconditional.
    pub fn precondition(self, headers: &HeaderMap) -> Option<Precondition> {
        let wanted = TagList::read(headers, &IF_MATCH).map(|wanted| self.if_match(&wanted));
        let unwanted = TagList::read(headers, &IF_NONE_MATCH).map(|unwanted| match unwanted {
            TagList::Any => Precondition::absent(),
            TagList::Listed(strong, weak) => {
                Precondition::none_of(self.days(&[strong, weak].concat()))
            }
            // With a malformed condition, changing nothing is safe.
            TagList::Malformed => Precondition::one_of(Vec::new()),
        });
        match (wanted, unwanted) {
            (Some(wanted), Some(unwanted)) => Some(wanted.and(unwanted)),
            (wanted, unwanted) => wanted.or(unwanted),
        }
    }

    /// Weak tags never match here (RFC 9110, section 13.1.1).
    fn if_match(self, wanted: &TagList<'_>) -> Precondition {
        match wanted {
            TagList::Any => Precondition::exists(),
            TagList::Listed(strong, _) => Precondition::one_of(self.days(strong)),
            TagList::Malformed => Precondition::one_of(Vec::new()),
        }
    }

    fn is_known(self, known: &TagList<'_>, born: DateOfBirth) -> bool {
        let day = MonthDay::from_date(born.as_date());
        match known {
            TagList::Any => true,
            TagList::Listed(strong, weak) => {
                self.days(strong).contains(&day) || self.days(weak).contains(&day)
            }
            TagList::Malformed => false,
        }
    }
}

impl<'a> TagList<'a> {
    /// The tags of all headers of that name; `None` when there is none.
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

/// Reads `"a", W/"b"`. A tag may contain commas.
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
        let (content, behind) = quoted.strip_prefix('"')?.split_once('"')?;
        list.push(content);
        rest = behind.trim_start_matches(is_blank);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn tags(today: &str) -> Tags {
        Tags {
            today: date(today),
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
            TagList::Listed(strong.into(), weak.into())
        };
        for (values, wanted) in [
            (&["*"][..], TagList::Any),
            (&[r#""a""#], listed(&["a"], &[])),
            (&[r#""a","b""#, r#"W/"c""#], listed(&["a", "b"], &["c"])),
            (&[r#" , "a,b" ,, W/"" , "#], listed(&["a,b"], &[""])),
            (&[""], listed(&[], &[])),
            (&["a"], TagList::Malformed),
            (&[r#""a"#], TagList::Malformed),
            (&[r#""a" "b""#], TagList::Malformed),
            (&[r#"w/"a""#], TagList::Malformed),
            (&[r#""a", *"#], TagList::Malformed),
            (&["*", "*"], TagList::Malformed),
        ] {
            let headers = headers(IF_MATCH, values);
            assert_eq!(
                TagList::read(&headers, &IF_MATCH),
                Some(wanted),
                "{values:?}"
            );
        }
        assert_eq!(TagList::read(&HeaderMap::new(), &IF_MATCH), None);
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
    fn a_tag_does_not_disclose_the_year_of_birth() {
        let tag = |born| {
            let born = DateOfBirth::from_stored(date(born));
            let answer = tags("2026-11-21").answer(&HeaderMap::new(), born, no_content());
            answer.unwrap().headers()[header::ETAG].clone()
        };
        assert_eq!(tag("1990-01-01"), tag("2001-01-01"));
        assert_ne!(tag("1990-01-01"), tag("1990-01-02"));
    }

    #[test]
    fn a_malformed_condition_never_holds() {
        let today = tags("2026-11-21");
        let born = DateOfBirth::from_stored(date("1990-01-01"));
        for name in [IF_MATCH, IF_NONE_MATCH] {
            let headers = headers(name, &["nonsense"]);
            assert!(today.precondition(&headers).unwrap().is_never_met());
        }
        let headers = headers(IF_NONE_MATCH, &["nonsense"]);
        let answer = today.answer(&headers, born, no_content()).unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "private, no-cache");
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
