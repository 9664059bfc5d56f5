//! Path templates such as `/hello/{username}`, taken apart when the program is compiled.

/// The most parameters of a path.
pub const MAX_PARAMETERS: usize = 2;

/// A path template.
#[derive(Debug)]
pub struct PathTemplate {
    text: &'static str,
    /// The texts before, between and after the parameters.
    literals: [&'static str; MAX_PARAMETERS + 1],
    parameters: usize,
}

impl PathTemplate {
    /// Takes `text` apart. More than [`MAX_PARAMETERS`] do not compile.
    pub const fn new(text: &'static str) -> Self {
        let mut literals = [""; MAX_PARAMETERS + 1];
        let mut parameters = 0;
        let (mut start, mut at) = (0, 0);
        while at < text.len() {
            match text.as_bytes()[at] {
                b'{' => {
                    literals[parameters] = text.split_at(at).0.split_at(start).1;
                    parameters += 1;
                }
                b'}' => start = at + 1,
                _ => {}
            }
            at += 1;
        }
        literals[parameters] = text.split_at(start).1;
        Self {
            text,
            literals,
            parameters,
        }
    }

    /// The template as it was written.
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// The parameters of `path`, and empty texts for those that the template does not have. `None`
    /// when the path does not have the form of the template, in which a parameter is one segment
    /// that is not empty.
    pub fn parameters<'a>(&self, path: &'a str) -> Option<[&'a str; MAX_PARAMETERS]> {
        let mut parameters = [""; MAX_PARAMETERS];
        let (first, others) = self.literals.split_first()?;
        let mut rest = path.strip_prefix(first)?;
        for (parameter, literal) in parameters.iter_mut().zip(others).take(self.parameters) {
            let mut bytes = rest.bytes();
            let end = bytes.position(|byte| byte == b'/').unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            (*parameter, rest) = rest.split_at(end);
            rest = rest.strip_prefix(literal)?;
        }
        rest.is_empty().then_some(parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_whole_segments() {
        let template = PathTemplate::new("/a/{x}/b/{y}");
        assert_eq!(template.parameters("/a/1/b/2"), Some(["1", "2"]));
        assert_eq!(template.parameters("/a/é/b/b"), Some(["é", "b"]));
        for path in [
            "/a/1/b",
            "/a/1/b/",
            "/a//b/2",
            "/a/1/b/2/",
            "/a/1/c/2",
            "a/1/b/2",
            "",
        ] {
            assert_eq!(template.parameters(path), None, "{path}");
        }
        let inside = PathTemplate::new("/a/{x}/b");
        assert_eq!(inside.parameters("/a/1/b"), Some(["1", ""]));
        assert_eq!(inside.parameters("/a/1/bc"), None);
        let literal = PathTemplate::new("/a");
        assert_eq!(literal.parameters("/a"), Some(["", ""]));
        assert_eq!(literal.parameters("/ab"), None);
        assert_eq!(literal.text(), "/a");
    }
}
