//! What a report is made of: lines of a tree, and problems.

use serde::Serialize;

use crate::words::one_line;

/// Longest text of a line of the tree: problems have the whole one.
const WIDTH: usize = 100;

/// How something is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Mark {
    /// As wanted.
    Good,
    /// On its way.
    Busy,
    /// Waiting does not help.
    Bad,
    /// It is not known.
    Unknown,
}

/// A line of the tree, with those below it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub name: String,
    pub mark: Mark,
    pub text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Node>,
}

impl Node {
    pub fn new(name: &str, mark: Mark, text: impl AsRef<str>) -> Self {
        Self {
            name: name.to_owned(),
            mark,
            text: one_line(text.as_ref(), WIDTH),
            children: vec![],
        }
    }

    pub fn with(mut self, children: Vec<Self>) -> Self {
        self.children = children;
        self
    }
}

/// What is not as wanted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The condition's reason.
    pub reason: String,
    /// The condition's message.
    pub message: String,
    /// What to type next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
