//! What a command says about its end where Kubernetes reads it: the termination message of its container.

use std::io;
use std::path::Path;

/// Kubernetes keeps so much of one, in bytes.
pub const LONGEST: usize = 4096;
/// How long a text of one may be, in bytes of JSON.
pub const LONGEST_TEXT: usize = 2500;

/// Writes one to a file, which may be one that cannot be replaced.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, json: &str) -> io::Result<()> {
    debug_assert!(json.len() <= LONGEST);
    std::fs::write(path, json)
}

/// Both ends of a text, so that it takes at most `longest` bytes in JSON.
pub fn shortened(text: &str, longest: usize) -> String {
    let length = |letter: char| match letter {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        letter if letter.is_control() => 6,
        letter => letter.len_utf8(),
    };
    if text.chars().map(length).sum::<usize>() <= longest {
        return text.to_owned();
    }
    let half = |letters: &mut dyn Iterator<Item = char>| {
        let mut left = longest / 2 - 3; // the mark
        let fits = letters.take_while(|letter| match left.checked_sub(length(*letter)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        });
        fits.collect::<String>()
    };
    let head = half(&mut text.chars());
    let tail: String = half(&mut text.chars().rev()).chars().rev().collect();
    format!("{head} … {tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_long_text_stay() {
        assert_eq!(shortened("short", 10), "short");
        let long = format!("begin{}end", "x".repeat(100));
        let short = shortened(&long, 30);
        assert!(
            short.starts_with("begin") && short.ends_with("end"),
            "{short}"
        );
        assert!(short.len() <= 30, "{short}");
    }
}
