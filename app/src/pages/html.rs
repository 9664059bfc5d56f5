//! Text in HTML.

use std::fmt::Write as _;

/// The beginning of every page, up to its contents.
pub fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <title>{}</title><link rel=stylesheet href=\"/style.css\">",
        text(title)
    )
}

/// `text` with HTML's special characters escaped; text between backquotes becomes code.
pub fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, part) in text.split('`').enumerate() {
        let part = part
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        if index % 2 == 1 {
            // Writing into a String cannot fail.
            let _ = write!(escaped, "<code>{part}</code>");
        } else {
            escaped.push_str(&part);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            text("a<b>&\"c\" `d<`"),
            "a&lt;b&gt;&amp;&quot;c&quot; <code>d&lt;</code>"
        );
    }
}
