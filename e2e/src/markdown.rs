//! Fenced code blocks of the documentation.

/// One fenced block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Block {
    /// The line its text begins on, from 1.
    pub line: usize,
    /// The language.
    pub language: String,
    /// The words after the language, which renderers ignore.
    pub marks: Vec<String>,
    /// The text between the fences, without the fence's own indentation.
    pub text: String,
}

impl Block {
    /// Whether a word stands after the language.
    pub fn is_marked(&self, mark: &str) -> bool {
        self.marks.iter().any(|found| found == mark)
    }
}

/// All fenced blocks of a Markdown text, in order. A fence that is never closed ends with the text.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(String, usize, Block)> = None;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        match &mut open {
            None => {
                let fence: String = trimmed.chars().take_while(|c| *c == '`').collect();
                if fence.len() >= 3 {
                    let mut words = trimmed.trim_start_matches('`').split_whitespace();
                    let language = words.next().unwrap_or_default().to_owned();
                    let marks = words.map(str::to_owned).collect();
                    let block = Block {
                        line: index + 2,
                        language,
                        marks,
                        text: String::new(),
                    };
                    open = Some((fence, indent, block));
                }
            }
            Some((fence, _, _)) if trimmed.trim_end() == fence.as_str() => {
                found.extend(open.take().map(|(_, _, block)| block));
            }
            Some((_, indent, block)) => {
                let own = line.len() - trimmed.len();
                block
                    .text
                    .push_str(line.get((*indent).min(own)..).unwrap_or(trimmed));
                block.text.push('\n');
            }
        }
    }
    found.extend(open.map(|(_, _, block)| block));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_its_line_language_marks_and_text() {
        let found = blocks("# Title\n\n```sh tested\nkubectl get hs\n```\nend\n");
        let wanted = Block {
            line: 4,
            language: "sh".to_owned(),
            marks: vec!["tested".to_owned()],
            text: "kubectl get hs\n".to_owned(),
        };
        assert_eq!(found, [wanted]);
        assert!(found[0].is_marked("tested") && !found[0].is_marked("other"));
    }

    #[test]
    fn a_block_in_a_list_loses_only_the_lists_indentation() {
        let found = blocks("1. Step\n\n   ```yaml\n   a:\n     b: 1\n\n   ```\n");
        assert_eq!(found[0].text, "a:\n  b: 1\n\n");
    }

    #[test]
    fn a_longer_fence_holds_shorter_ones() {
        let found = blocks("````md\n```sh\nls\n```\n````\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text, "```sh\nls\n```\n");
    }

    #[test]
    fn blocks_follow_each_other() {
        let found = blocks("```a\n1\n```\n```b\n2\n```\n```c\n3");
        let languages: Vec<_> = found.iter().map(|block| block.language.as_str()).collect();
        assert_eq!(languages, ["a", "b", "c"]);
    }
}
