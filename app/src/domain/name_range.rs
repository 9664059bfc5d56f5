//! Ranges of user names, for the search by prefix and for paging.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::{MAX_USERNAME_LENGTH, Username};

/// Names from `from` (included) to `below` (excluded), in the order of their UTF-8 bytes.
///
/// Unlike a pattern, a range has no wildcards that need escaping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRange {
    from: String,
    below: String,
}

/// No name begins with a text this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have at most 64 letters")]
pub struct PrefixTooLong;

impl NameRange {
    /// All names.
    pub fn all() -> Self {
        Self {
            from: String::new(),
            below: char::MAX.into(), // not a letter, and after all of them
        }
    }

    /// All names that begin with `prefix`. `None` when it has other characters than letters: no name
    /// begins with it.
    ///
    /// # Errors
    /// When the prefix is longer than any name.
    pub fn beginning_with(prefix: &str) -> Result<Option<Self>, PrefixTooLong> {
        let prefix: String = prefix.nfc().collect();
        let length = prefix.chars().count();
        if length > MAX_USERNAME_LENGTH {
            return Err(PrefixTooLong);
        }
        let is_letter =
            |letter: char| letter.general_category_group() == GeneralCategoryGroup::Letter;
        if !prefix.chars().all(is_letter) {
            return Ok(None);
        }
        if length == 0 {
            return Ok(Some(Self::all()));
        }
        // Nothing that begins with the prefix comes after it with the last character appended.
        let below = format!("{prefix}{}", char::MAX);
        Ok(Some(Self {
            from: prefix,
            below,
        }))
    }

    /// The part of the range after `name`.
    #[must_use]
    pub fn after(self, name: &Username) -> Self {
        let from = following(name.as_str()).max(self.from);
        Self { from, ..self }
    }

    /// The first name that may be in the range.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// A bound that all names of the range are below.
    pub fn below(&self) -> &str {
        &self.below
    }
}

/// The least text after `name`. It is before every name after `name`: names consist of letters, and
/// no letter is before the character that is appended.
pub fn following(name: &str) -> String {
    format!("{name}\u{1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UsernameRule;
    use proptest::prelude::*;

    fn holds(range: &NameRange, name: &str) -> bool {
        range.from() <= name && name < range.below()
    }

    #[test]
    fn a_prefix_holds_no_wildcards() {
        for prefix in ["%", "a_", "a*", "\\", "a\0", "x\u{301}", "1", " "] {
            assert_eq!(NameRange::beginning_with(prefix), Ok(None), "{prefix:?}");
        }
    }

    #[test]
    fn a_prefix_is_normalised_and_bounded() {
        assert_eq!(
            NameRange::beginning_with("Jose\u{301}"),
            NameRange::beginning_with("José")
        );
        assert_eq!(NameRange::beginning_with(""), Ok(Some(NameRange::all())));
        assert!(NameRange::beginning_with(&"x".repeat(64)).is_ok());
        assert_eq!(
            NameRange::beginning_with(&"x".repeat(65)),
            Err(PrefixTooLong)
        );
    }

    fn name() -> impl Strategy<Value = String> {
        "[ab]{1,3}|[aAzZé李𠀀]{1,4}"
    }

    proptest! {
        #[test]
        fn holds_what_begins_with_the_prefix(prefix in name(), name in name()) {
            let range = NameRange::beginning_with(&prefix).unwrap().unwrap();
            prop_assert_eq!(holds(&range, &name), name.starts_with(&prefix));
            prop_assert!(holds(&NameRange::all(), &name));
        }

        #[test]
        fn goes_on_after_a_name(prefix in name(), last in name(), name in name()) {
            let range = NameRange::beginning_with(&prefix).unwrap().unwrap();
            let last = Username::parse(&last, UsernameRule::Unicode).unwrap();
            let rest = range.after(&last);
            let expected = name.starts_with(&prefix) && name.as_str() > last.as_str();
            prop_assert_eq!(holds(&rest, &name), expected);
        }
    }
}
