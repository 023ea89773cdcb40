/// The space between two blocks, in order of size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    None,
    Line,
    Blank,
}

/// A block that contains other blocks and prefixes their lines.
#[derive(Debug)]
pub enum Container {
    /// A quotation, whose lines begin with `> `.
    Quote,
    /// A list item, whose first line begins with the marker and whose other lines are indented.
    Item {
        /// The marker, such as `- ` or `3. `, until it is written.
        marker: Option<String>,
        /// Spaces before each further line: as many as the marker has bytes.
        indent: usize,
    },
}

impl Container {
    pub fn item(marker: String) -> Self {
        Self::Item {
            indent: marker.len(),
            marker: Some(marker),
        }
    }

    fn prefix(&mut self) -> String {
        match self {
            Self::Quote => "> ".to_owned(),
            Self::Item { marker, indent } => marker.take().unwrap_or_else(|| " ".repeat(*indent)),
        }
    }
}

/// Writes text, and prefixes each line as its containers require. What it adds to the text is limited, because a line
/// of two bytes may be inside many quotes, lists and styles, and an address may be referred to many times.
#[derive(Debug)]
pub struct Output {
    text: String,
    /// Bytes that may still be added.
    spare: usize,
    gap: Gap,
    is_line_start: bool,
    containers: Vec<Container>,
}

impl Output {
    /// An output to which `spare` bytes may be added that do not stand in the source.
    pub fn new(spare: usize) -> Self {
        Self {
            text: String::new(),
            spare,
            gap: Gap::None,
            is_line_start: true,
            containers: Vec::new(),
        }
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn into_text(self) -> String {
        self.text
    }

    /// Requires at least this much space before the next text.
    pub fn space(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    pub fn open(&mut self, container: Container) {
        self.containers.push(container);
    }

    /// Closes the innermost container. An empty list item still shows its marker.
    pub fn close(&mut self) {
        if let Some(Container::Item {
            marker: Some(_), ..
        }) = self.containers.last()
        {
            self.write("");
        }
        self.containers.pop();
    }

    /// Writes text of the source, without line ends.
    pub fn write(&mut self, text: &str) {
        self.begin_line();
        self.text.push_str(text);
    }

    /// Writes text that the source does not have, without line ends, and returns whether it may still be added.
    pub fn add(&mut self, text: &str) -> bool {
        self.begin_line();
        self.push_added(text, text.len())
    }

    /// As [`Output::add`], for a mark that will be written a second time, with [`Output::write`].
    pub fn add_pair(&mut self, mark: &str) -> bool {
        self.begin_line();
        self.push_added(mark, 2 * mark.len())
    }

    /// Writes text and keeps its line ends.
    pub fn write_lines(&mut self, text: &str) {
        for line in text.split_inclusive('\n') {
            let content = line.trim_end_matches(['\n', '\r']);
            if !content.is_empty() {
                self.write(content);
            }
            if line.ends_with('\n') {
                self.settle();
                self.text.push('\n');
                self.is_line_start = true;
            }
        }
    }

    /// Whether the current line has text.
    pub fn is_line_begun(&self) -> bool {
        self.gap == Gap::None && !self.is_line_start
    }

    /// Ends the current line, if it has text.
    pub fn end_line(&mut self) {
        if !self.is_line_start {
            self.space(Gap::Line);
        }
    }

    /// Removes the text after the first `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        self.text.truncate(length);
    }

    fn begin_line(&mut self) {
        self.settle();
        if self.is_line_start {
            let prefix: String = self.containers.iter_mut().map(Container::prefix).collect();
            self.push_added(&prefix, prefix.len());
            self.is_line_start = false;
        }
    }

    fn push_added(&mut self, text: &str, cost: usize) -> bool {
        let Some(spare) = self.spare.checked_sub(cost) else {
            return false;
        };
        self.spare = spare;
        self.text.push_str(text);
        true
    }

    fn settle(&mut self) {
        let line_ends = match self.gap {
            Gap::None => "",
            Gap::Line => "\n",
            Gap::Blank => "\n\n",
        };
        if !line_ends.is_empty() {
            if !self.text.is_empty() {
                self.text.push_str(line_ends);
            }
            self.is_line_start = true;
        }
        self.gap = Gap::None;
    }
}
