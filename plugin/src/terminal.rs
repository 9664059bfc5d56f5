//! Where a command writes, and whom it can ask.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::words::printable;

/// Input and outputs of a command. Tests have their own.
pub struct Terminal<'a> {
    /// What the command was asked for.
    pub output: Box<dyn Write + Send + 'a>,
    /// Progress, remarks and errors.
    pub remarks: Box<dyn Write + Send + 'a>,
    /// A person who can be asked.
    pub person: Option<Box<dyn BufRead + Send + 'a>>,
    /// Whether the output may have colours.
    pub color: bool,
    /// Whether remarks can replace each other on one line, and the output can be drawn anew.
    pub live: bool,
    /// Length of the remark that the next one replaces.
    drawn: usize,
}

impl<'a> Terminal<'a> {
    /// One without a person, for programs.
    pub fn plain(
        output: impl Write + Send + 'a,
        remarks: impl Write + Send + 'a,
        person: Option<Box<dyn BufRead + Send + 'a>>,
    ) -> Self {
        Self {
            output: Box::new(output),
            remarks: Box::new(remarks),
            person,
            color: false,
            live: false,
            drawn: 0,
        }
    }

    /// That of this process.
    pub fn of_this_process() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let asked = io::stdin().is_terminal() && io::stderr().is_terminal();
        Self {
            color: io::stdout().is_terminal() && !is_set("NO_COLOR") && !dumb,
            live: io::stderr().is_terminal() && !dumb,
            ..Self::plain(
                io::stdout(),
                io::stderr(),
                asked.then(|| Box::new(io::BufReader::new(io::stdin())) as Box<_>),
            )
        }
    }

    /// Writes to the output.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        self.clear();
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }

    /// Writes a remark that stays. Remarks that cannot be written are no reason to stop.
    pub fn report(&mut self, text: &str) {
        self.clear();
        for line in text.lines() {
            let _ = writeln!(self.remarks, "{}", printable(line));
        }
        let _ = self.remarks.flush();
    }

    /// Shows how far the work is: on a terminal in place of the last such line.
    pub fn progress(&mut self, text: &str, is_news: bool) {
        if self.live {
            let line = printable(text);
            self.clear();
            let _ = write!(self.remarks, "{line}");
            let _ = self.remarks.flush();
            self.drawn = line.chars().count();
        } else if is_news {
            self.report(text);
        }
    }

    /// Removes the line that shows progress.
    fn clear(&mut self) {
        if self.drawn > 0 {
            let _ = write!(self.remarks, "\r{:width$}\r", "", width = self.drawn);
            self.drawn = 0;
        }
    }

    /// Asks for `yes`; without a person there is no answer.
    pub fn ask(&mut self, question: &str) -> Option<bool> {
        self.person.as_ref()?;
        self.clear();
        let _ = write!(self.remarks, "{question} ");
        let _ = self.remarks.flush();
        let mut answer = String::new();
        let read = self.person.as_mut()?.read_line(&mut answer).ok()?;
        // The end of the input is nobody's answer.
        (read > 0).then(|| answer.trim() == "yes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(live: bool, act: impl FnOnce(&mut Terminal<'_>)) -> String {
        let mut remarks = Vec::new();
        let mut terminal = Terminal::plain(io::sink(), &mut remarks, None);
        terminal.live = live;
        act(&mut terminal);
        drop(terminal);
        String::from_utf8(remarks).unwrap()
    }

    #[test]
    fn progress_is_one_line_on_a_terminal_and_only_news_elsewhere() {
        let work = |terminal: &mut Terminal<'_>| {
            terminal.progress("one", true);
            terminal.progress("two", false);
            terminal.report("done");
        };
        assert_eq!(shown(true, work), "one\r   \rtwo\r   \rdone\n");
        assert_eq!(shown(false, work), "one\ndone\n");
    }

    #[test]
    fn what_others_have_written_cannot_steer_the_terminal() {
        let text = shown(false, |terminal| {
            terminal.report("a\u{1b}[2Jb\rc\u{202e}d\u{9b}e");
        });
        assert_eq!(text, "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e\n");
    }

    #[test]
    fn only_yes_is_a_consent_and_nobody_is_no_answer() {
        for (typed, answer) in [
            ("yes\n", Some(true)),
            ("y\n", Some(false)),
            ("\n", Some(false)),
            ("", None),
        ] {
            let person = Some(Box::new(typed.as_bytes()) as Box<dyn BufRead + Send>);
            let mut terminal = Terminal::plain(io::sink(), io::sink(), person);
            assert_eq!(terminal.ask("?"), answer, "{typed:?}");
        }
        let mut terminal = Terminal::plain(io::sink(), io::sink(), None);
        assert_eq!(terminal.ask("?"), None);
    }
}
