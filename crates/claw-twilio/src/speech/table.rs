/// A table that is read row by row. Each row becomes a sentence, such as `Tea: price 2, stock 3`.
pub(super) struct Table {
    header: Vec<String>,
    state: State,
    /// Bytes of the header's names that may still be spoken. Each row repeats them, and a row may be much shorter.
    spare: usize,
}

/// How many bytes of names are spoken per byte of the table. Ordinary tables need less than one.
const NAMES_PER_BYTE: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No row was read.
    New,
    /// One row was read, which may be the header.
    HasFirstRow,
    /// The header is known.
    HasHeader,
    /// There is no header: the cells of a row are listed.
    HasNone,
}

impl Table {
    pub(super) const fn new() -> Self {
        Self {
            header: Vec::new(),
            state: State::New,
            spare: 0,
        }
    }

    /// Takes a line and returns its speech, which is empty for a header and the line under it.
    pub(super) fn take(&mut self, line: &str) -> String {
        self.spare += NAMES_PER_BYTE * line.len();
        let cells = cells(line);
        let is_line_under_header = cells.iter().all(|cell| is_dashes(cell));
        match self.state {
            State::New => {
                self.header = cells;
                self.state = State::HasFirstRow;
                String::new()
            }
            State::HasFirstRow if is_line_under_header => {
                self.state = State::HasHeader;
                String::new()
            }
            State::HasFirstRow => {
                self.state = State::HasNone;
                format!("{}. {}", listed(&self.header), listed(&cells))
            }
            State::HasHeader => self.sentence(&cells),
            State::HasNone => listed(&cells),
        }
    }

    /// The row of a table that has only one.
    pub(super) fn finish(self) -> Option<String> {
        (self.state == State::HasFirstRow).then(|| listed(&self.header))
    }

    fn sentence(&mut self, cells: &[String]) -> String {
        let (Some(subject), details) = (cells.first(), cells.get(1..).unwrap_or_default()) else {
            return String::new();
        };
        let has_names = self.header.len() > 2;
        let spare = &mut self.spare;
        let names = self.header.iter().skip(1).map(String::as_str);
        let details: Vec<String> = details
            .iter()
            .zip(names.chain(std::iter::repeat("")))
            .filter(|(cell, _)| !cell.is_empty())
            .map(|(cell, name)| match spare.checked_sub(name.len() + 1) {
                Some(left) if has_names && !name.is_empty() => {
                    *spare = left;
                    format!("{name} {cell}")
                }
                Some(_) | None => cell.clone(),
            })
            .collect();
        match (subject.is_empty(), details.is_empty()) {
            (true, _) => details.join(", "),
            (false, true) => subject.clone(),
            (false, false) => format!("{subject}: {}", details.join(", ")),
        }
    }
}

fn listed(cells: &[String]) -> String {
    let filled: Vec<&str> = cells
        .iter()
        .map(String::as_str)
        .filter(|cell| !cell.is_empty())
        .collect();
    filled.join(", ")
}

fn is_dashes(cell: &str) -> bool {
    cell.contains('-')
        && cell
            .chars()
            .all(|character| matches!(character, '-' | ':' | ' '))
}

fn cells(line: &str) -> Vec<String> {
    let line = line.trim();
    let line = line.strip_prefix('|').unwrap_or(line);
    let line = line.strip_suffix('|').unwrap_or(line);
    // An escaped `\|` is a bar inside a cell.
    line.replace("\\|", "\u{1F}")
        .split('|')
        .map(|cell| cell.trim().replace('\u{1F}', "|"))
        .collect()
}
