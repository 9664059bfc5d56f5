//! The pages of problems: the `type` of a problem is the path of its page.

use std::fmt::Write as _;

use super::html::{head, text};

/// What the page of a problem shows.
#[derive(Debug, Clone, Copy)]
pub struct ProblemPage {
    /// The status of the response.
    pub status: u16,
    /// The last segment of the page's path.
    pub slug: &'static str,
    /// The problem in a few words.
    pub title: &'static str,
    /// What it means and what to do; text between backquotes is code.
    pub meaning: &'static str,
}

impl ProblemPage {
    /// The page.
    pub fn render(self) -> String {
        let body = format!(
            "<h1>{title} <small>{status}</small></h1><p>{meaning}</p>\
             <p><a href=\"/problems\">All problems</a> · <a href=\"/docs\">Documentation</a></p>",
            title = text(self.title),
            status = self.status,
            meaning = text(self.meaning),
        );
        page(self.title, &body)
    }
}

/// The page that lists `problems`.
pub fn problem_list(problems: impl Iterator<Item = ProblemPage>) -> String {
    let mut body = String::from("<h1>Problems</h1><ul>");
    for problem in problems {
        // Writing into a String cannot fail.
        let _ = write!(
            body,
            "<li>{} <a href=\"/problems/{}\">{}</a>",
            problem.status,
            problem.slug,
            text(problem.title)
        );
    }
    body.push_str("</ul>");
    page("Problems", &body)
}

fn page(title: &str, body: &str) -> String {
    format!(
        "{}<main>{body}</main></html>",
        head(&format!("{title} - hello"))
    )
}
