//! User names: letters only, normalised, bounded.

use std::borrow::Cow;

use strum::EnumString;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// The longest user name, in code points after normalisation.
pub const MAX_USERNAME_LENGTH: usize = 64;

/// Letters to Unicode, but nothing to be seen: a name with them looks like another one.
const INVISIBLE: [char; 4] = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];

/// Which letters a user name may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString)]
#[strum(
    serialize_all = "lowercase",
    parse_err_ty = String,
    parse_err_fn = unknown_username_rule
)]
pub enum UsernameRule {
    /// Every letter of Unicode (general category L), normalised to NFC.
    #[default]
    Unicode,
    /// A to Z and a to z.
    Ascii,
}

fn unknown_username_rule(text: &str) -> String {
    format!("`{text}` is neither `unicode` nor `ascii`")
}

/// A name of 1 to 64 letters in NFC. Case matters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username(Box<str>);

/// Why a text is not a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUsername {
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("has a malformed percent escape")]
    Escape,
    /// The bytes are not UTF-8.
    #[error("is not UTF-8")]
    Encoding,
    /// A character that is not a letter.
    #[error("must consist of letters only")]
    NotALetter,
    /// No letter at all, or more than 64.
    #[error("must have 1 to 64 letters")]
    Length,
}

impl Username {
    /// Reads a name from a segment of a URL's path: percent escapes are decoded exactly once.
    ///
    /// # Errors
    /// The first rule of [`InvalidUsername`] that the name breaks.
    pub fn from_path_segment(segment: &str, rule: UsernameRule) -> Result<Self, InvalidUsername> {
        if segment.contains('%') {
            let bytes = percent_decode(segment).ok_or(InvalidUsername::Escape)?;
            let text = String::from_utf8(bytes).map_err(|_| InvalidUsername::Encoding)?;
            Self::parse(&text, rule)
        } else {
            Self::parse(segment, rule)
        }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// The first rule of [`InvalidUsername`] that the name breaks.
    pub fn parse(text: &str, rule: UsernameRule) -> Result<Self, InvalidUsername> {
        if text.is_empty() {
            return Err(InvalidUsername::Length);
        }
        if text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return if text.len() <= MAX_USERNAME_LENGTH {
                Ok(Self(text.into()))
            } else {
                Err(InvalidUsername::Length)
            };
        }
        match rule {
            UsernameRule::Ascii => Err(InvalidUsername::NotALetter),
            UsernameRule::Unicode => Self::parse_unicode(text),
        }
    }

    fn parse_unicode(text: &str) -> Result<Self, InvalidUsername> {
        let text: Cow<'_, str> = if is_nfc(text) {
            text.into()
        } else {
            text.nfc().collect::<String>().into()
        };
        let mut length = 0;
        for letter in text.chars() {
            if letter.general_category_group() != GeneralCategoryGroup::Letter
                || INVISIBLE.contains(&letter)
            {
                return Err(InvalidUsername::NotALetter);
            }
            length += 1;
        }
        if length > MAX_USERNAME_LENGTH {
            return Err(InvalidUsername::Length);
        }
        Ok(Self(text.into()))
    }

    /// A name from the store, which was parsed before it was stored.
    pub fn from_stored(name: String) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Decodes `%XX` once; `None` for a `%` without two hexadecimal digits.
pub fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(text: &str) -> Result<String, InvalidUsername> {
        Username::from_path_segment(text, UsernameRule::Unicode).map(|name| name.as_str().into())
    }

    #[test]
    fn decodes_exactly_once() {
        assert_eq!(segment("%4Aohn"), Ok("John".into()));
        assert_eq!(segment("%4aohn"), Ok("John".into()));
        assert_eq!(segment("%254A"), Err(InvalidUsername::NotALetter));
        assert_eq!(segment("%2F"), Err(InvalidUsername::NotALetter));
        assert_eq!(segment("%00"), Err(InvalidUsername::NotALetter));
        for broken in ["%", "%4", "%zz", "%4g", "a%", "%+4a", "% 4"] {
            assert_eq!(segment(broken), Err(InvalidUsername::Escape), "{broken}");
        }
        assert_eq!(segment("%FF"), Err(InvalidUsername::Encoding));
        assert_eq!(segment("%C3"), Err(InvalidUsername::Encoding));
    }

    #[test]
    fn normalises_to_composed_form() {
        assert_eq!(segment("Jos%C3%A9"), segment("Jose%CC%81"));
        assert_eq!(segment("Jose%CC%81"), Ok("José".into()));
        // There is no composed form, so the mark remains.
        assert_eq!(segment("x%CC%81"), Err(InvalidUsername::NotALetter));
    }

    #[test]
    fn refuses_letters_that_cannot_be_seen() {
        for filler in [
            "\u{115f}",
            "\u{1160}",
            "\u{3164}",
            "\u{ffa0}",
            "a\u{3164}",
            "\u{1160}a",
        ] {
            let outcome = Username::parse(filler, UsernameRule::Unicode);
            assert_eq!(outcome, Err(InvalidUsername::NotALetter), "{filler:?}");
        }
    }

    #[test]
    fn takes_letters_of_every_script_and_nothing_else() {
        for name in ["alice", "Иван", "李明", "ª", "Müller", "한국"] {
            assert!(
                Username::parse(name, UsernameRule::Unicode).is_ok(),
                "{name}"
            );
        }
        for name in [
            "alice1", "a b", "a-b", "a_b", "a'b", "a\"b", "a\\b", "a\0b", "٣", "😀", "\n",
        ] {
            assert_eq!(
                Username::parse(name, UsernameRule::Unicode),
                Err(InvalidUsername::NotALetter),
                "{name:?}"
            );
        }
        assert_eq!(
            Username::parse("José", UsernameRule::Ascii),
            Err(InvalidUsername::NotALetter)
        );
    }

    #[test]
    fn counts_code_points_after_normalisation() {
        for letter in ["a", "é", "e\u{301}", "李"] {
            let longest = letter.repeat(MAX_USERNAME_LENGTH);
            assert!(
                Username::parse(&longest, UsernameRule::Unicode).is_ok(),
                "{letter}"
            );
            let longer = letter.repeat(MAX_USERNAME_LENGTH + 1);
            assert_eq!(
                Username::parse(&longer, UsernameRule::Unicode),
                Err(InvalidUsername::Length)
            );
        }
        assert_eq!(
            Username::parse("", UsernameRule::Unicode),
            Err(InvalidUsername::Length)
        );
    }

    #[test]
    fn case_matters() {
        assert_ne!(segment("alice"), segment("Alice"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn escapes_stand_for_bytes(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..12),
                "[a-zé李\u{301}]{0,70}".prop_map(String::into_bytes),
            ],
        ) {
            let escaped: String = bytes
                .iter()
                .enumerate()
                .map(|(at, byte)| if at % 2 == 0 { format!("%{byte:02x}") } else { format!("%{byte:02X}") })
                .collect();
            let expected = match String::from_utf8(bytes) {
                Ok(text) => Username::parse(&text, UsernameRule::Unicode),
                Err(_) => Err(InvalidUsername::Encoding),
            };
            prop_assert_eq!(Username::from_path_segment(&escaped, UsernameRule::Unicode), expected);
        }

        #[test]
        fn never_panics_and_is_stable(text in "\\PC{0,80}|[a-zA-Z%0-9]{0,80}") {
            if let Ok(name) = Username::from_path_segment(&text, UsernameRule::Unicode) {
                prop_assert!(name.as_str().chars().all(char::is_alphabetic));
                prop_assert_eq!(
                    Username::parse(name.as_str(), UsernameRule::Unicode).unwrap(),
                    name
                );
            }
        }
    }

    #[test]
    fn another_rule_is_refused_with_those_that_there_are() {
        assert_eq!("ascii".parse(), Ok(UsernameRule::Ascii));
        let problem = "any".parse::<UsernameRule>().unwrap_err();
        assert_eq!(problem, "`any` is neither `unicode` nor `ascii`");
    }
}
