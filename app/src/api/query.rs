//! The query of a URL. Parameters that are misspelt, repeated or malformed are refused, not ignored.

use super::problem::Problem;
use super::problem_kind::ProblemKind;
use crate::domain::percent_decode;

/// Entries in a page by default.
pub const DEFAULT_LIMIT: u32 = 50;
/// The most entries in a page.
pub const MAX_LIMIT: u32 = 100;

/// The parameters of a query, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Vec<(&'static str, String)>);

/// 400 about one parameter.
pub fn invalid(
    parameter: impl Into<std::borrow::Cow<'static, str>>,
    detail: impl Into<std::borrow::Cow<'static, str>>,
) -> Problem {
    Problem::parameter(ProblemKind::InvalidQuery, parameter, detail)
}

impl Query {
    /// Reads `raw`, which may hold each of the `known` parameters once.
    ///
    /// # Errors
    /// 400 that names the parameter that is unknown, repeated, or not percent-encoded UTF-8.
    pub fn parse(raw: Option<&str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut values: Vec<(&'static str, String)> = Vec::new();
        let pieces = raw.unwrap_or_default().split('&');
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let Some(name) = decode(name) else {
                return Err(invalid(name.to_owned(), "is not percent-encoded UTF-8"));
            };
            let Some(name) = known.iter().copied().find(|known| *known == name) else {
                return Err(invalid(name, "is not a parameter of this resource"));
            };
            if values.iter().any(|(given, _)| *given == name) {
                return Err(invalid(name, "is given more than once"));
            }
            let Some(value) = decode(value) else {
                return Err(invalid(name, "is not percent-encoded UTF-8"));
            };
            values.push((name, value));
        }
        Ok(Self(values))
    }

    /// The value of a parameter, if it is given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value.as_str())
    }

    /// A whole number from `min` to `max`, if it is given.
    ///
    /// # Errors
    /// 400 that names the parameter.
    pub fn number(&self, name: &'static str, min: u32, max: u32) -> Result<Option<u32>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        // The library also takes a plus sign.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        match number.filter(|number| (min..=max).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(invalid(
                name,
                format!("must be a whole number from {min} to {max}"),
            )),
        }
    }

    /// Entries in a page.
    ///
    /// # Errors
    /// 400 that names the parameter.
    pub fn limit(&self) -> Result<u32, Problem> {
        Ok(self.number("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT))
    }
}

/// Decodes percent escapes, and a plus sign as forms use it for a blank.
fn decode(text: &str) -> Option<String> {
    String::from_utf8(percent_decode(&text.replace('+', " "))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: [&str; 2] = ["limit", "prefix"];

    fn parameter(raw: &str) -> String {
        let problem = Query::parse(Some(raw), &KNOWN)
            .and_then(|query| query.limit())
            .unwrap_err();
        let body: serde_json::Value =
            serde_json::from_slice(problem.into_response(None).body()).unwrap();
        assert_eq!(body["type"], "/problems/invalid-query");
        body["errors"][0]["parameter"].as_str().unwrap().to_owned()
    }

    #[test]
    fn reads_and_decodes() {
        let query = Query::parse(Some("&prefix=%4A+%C3%A9&&%6cimit=7&"), &KNOWN).unwrap();
        assert_eq!(query.get("prefix"), Some("J é"));
        assert_eq!(query.limit().unwrap(), 7);
        assert_eq!(Query::parse(None, &KNOWN).unwrap().limit().unwrap(), 50);
        assert_eq!(
            Query::parse(Some("prefix"), &KNOWN).unwrap().get("prefix"),
            Some("")
        );
    }

    #[test]
    fn names_what_is_wrong() {
        for (raw, name) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=", "limit"),
            ("limit", "limit"),
            ("limit=-1", "limit"),
            ("limit=%2B5", "limit"),
            ("limit=5.0", "limit"),
            ("limit=99999999999", "limit"),
            ("limit=%D9%A3", "limit"),
            ("limit=5&limit=5", "limit"),
            ("prefix=%", "prefix"),
            ("prefix=%FF", "prefix"),
            ("Limit=5", "Limit"),
            ("x=%FF", "x"),
            ("%zz=1", "%zz"),
            ("=1", ""),
        ] {
            assert_eq!(parameter(raw), name, "{raw}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn never_panics(raw in "\\PC{0,40}|[a-z%=&+0-9]{0,40}") {
            let _ = Query::parse(Some(&raw), &KNOWN).map(|query| query.limit());
        }
    }
}
