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

/// Writes text, and prefixes each line as its containers require.
#[derive(Debug)]
pub struct Output {
    text: String,
    gap: Gap,
    is_line_start: bool,
    containers: Vec<Container>,
}

impl Output {
    pub fn new() -> Self {
        Self {
            text: String::new(),
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

    /// Writes text without line ends.
    pub fn write(&mut self, text: &str) {
        self.settle();
        if self.is_line_start {
            let prefix: String = self.containers.iter_mut().map(Container::prefix).collect();
            self.text.push_str(&prefix);
            self.is_line_start = false;
        }
        self.text.push_str(text);
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
