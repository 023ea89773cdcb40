/// Space between two blocks, in order of size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// They touch.
    None,
    /// The next one begins a line.
    Line,
    /// A blank line lies between.
    Blank,
}

/// What begins the lines of a block inside another.
#[derive(Debug)]
pub enum Container {
    /// Lines begin with `> `.
    Quote,
    /// The first line begins with the marker, the others are indented by its width.
    Item {
        /// `- ` or `3. `, until it is written.
        marker: Option<String>,
        /// Its width.
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

/// A text in the making that knows where lines begin and with what.
#[derive(Debug)]
pub struct Page {
    text: String,
    gap: Gap,
    is_line_start: bool,
    containers: Vec<Container>,
}

impl Page {
    pub fn new() -> Self {
        Self {
            text: String::new(),
            gap: Gap::None,
            is_line_start: true,
            containers: Vec::new(),
        }
    }

    /// What is written so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn into_text(self) -> String {
        self.text
    }

    /// Asks for at least this much space before what is written next.
    pub fn space(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    pub fn open(&mut self, container: Container) {
        self.containers.push(container);
    }

    /// Leaves the innermost container; an item without content shows its marker.
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

    /// Writes text with its line ends as they are.
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

    /// Whether the line that is written next to has something on it.
    pub fn is_line_begun(&self) -> bool {
        self.gap == Gap::None && !self.is_line_start
    }

    /// Goes to the next line, unless it just did.
    pub fn end_line(&mut self) {
        if !self.is_line_start {
            self.space(Gap::Line);
        }
    }

    /// Takes back what was written from `length` on.
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
