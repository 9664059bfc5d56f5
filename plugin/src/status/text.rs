//! A report as text for people.

use super::{
    node::{Mark, Node},
    report::Report,
};
use crate::words::printable;

impl Mark {
    /// Sign and colour.
    const fn sign(self) -> (&'static str, &'static str) {
        match self {
            Self::Good => ("✓", "32"),
            Self::Busy => ("…", "33"),
            Self::Bad => ("✗", "31"),
            Self::Unknown => ("?", "35"),
        }
    }
}

/// Draws; escape sequences only where they are understood.
struct Pen {
    color: bool,
}

impl Pen {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn sign(&self, mark: Mark) -> String {
        let (sign, code) = mark.sign();
        self.paint(code, sign)
    }

    fn nodes(&self, nodes: &[Node], indent: &str, text: &mut String) {
        let widths = nodes.iter().map(|node| node.name.chars().count());
        let width = widths.max().unwrap_or(0);
        for (index, node) in nodes.iter().enumerate() {
            let is_last = index + 1 == nodes.len();
            let (branch, below) = if is_last {
                ("└─", "   ")
            } else {
                ("├─", "│  ")
            };
            let sign = self.sign(node.mark);
            let name = printable(&node.name);
            let words = printable(&node.text);
            text.push_str(&format!("{indent}{branch} {sign} {name:width$}  {words}\n"));
            self.nodes(&node.children, &format!("{indent}{below}"), text);
        }
    }
}

/// The tree of a service, and below it what is wrong.
pub fn tree(report: &Report, color: bool) -> String {
    let pen = Pen { color };
    let mut head = vec![
        format!(
            "{} {}",
            pen.sign(report.mark),
            pen.paint("1", &printable(&report.name))
        ),
        pen.paint(report.mark.sign().1, &report.state),
    ];
    head.push(format!("namespace {}", printable(&report.namespace)));
    head.extend(report.endpoint.as_deref().map(printable));
    let mut text = head.join("  ") + "\n";
    pen.nodes(&report.parts, "", &mut text);
    for problem in &report.problems {
        let reason = pen.paint("1", &printable(&problem.reason));
        text.push_str(&format!("\n{reason}\n"));
        for line in problem.message.lines() {
            text.push_str(&format!("  {}\n", printable(line)));
        }
        if let Some(next) = &problem.next {
            text.push_str(&format!("  next: {}\n", pen.paint("36", &printable(next))));
        }
    }
    text
}
