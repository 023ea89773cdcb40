use super::output::Gap;

/// The lines of a text. Looking back in the text itself for every block would take quadratic time.
pub(super) struct Lines(Vec<Line>);

struct Line {
    start: usize,
    is_after_blank: bool,
}

impl Lines {
    pub fn of(source: &str) -> Self {
        let mut lines = Vec::new();
        let mut start = 0;
        let mut is_after_blank = false;
        for line in source.split_inclusive('\n') {
            lines.push(Line {
                start,
                is_after_blank,
            });
            start += line.len();
            is_after_blank = line.chars().all(|c| c.is_whitespace() || c == '>');
        }
        if source.ends_with('\n') {
            lines.push(Line {
                start,
                is_after_blank,
            });
        }
        Self(lines)
    }

    /// The space before the line of `at`: a line end, or one blank line for any number of them.
    pub fn gap_before(&self, at: usize) -> Gap {
        let end = self.0.partition_point(|line| line.start <= at);
        let line = end.checked_sub(1).and_then(|index| self.0.get(index));
        if line.is_some_and(|line| line.is_after_blank) {
            Gap::Blank
        } else {
            Gap::Line
        }
    }
}
