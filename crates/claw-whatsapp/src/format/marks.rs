use super::output::Output;

/// A style that WhatsApp supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `*x*`
    Bold,
    /// `_x_`
    Italic,
    /// `~x~`
    Struck,
}

impl Style {
    const fn mark(self) -> &'static str {
        match self {
            Self::Bold => "*",
            Self::Italic => "_",
            Self::Struck => "~",
        }
    }
}

/// The open styles. WhatsApp supports neither doubled marks nor marks across lines, so a style inside itself writes
/// nothing, and every line end closes all marks and opens them again.
#[derive(Debug, Default)]
pub struct Marks {
    /// For each open style, whether it is the outermost of its kind.
    open: Vec<bool>,
    /// The outermost styles: at most one of each kind, so that a line end costs the same at any depth.
    outermost: Vec<Mark>,
}

#[derive(Debug)]
struct Mark {
    style: Style,
    /// Where the text after the mark begins; `None` if the mark was not written.
    start: Option<usize>,
}

impl Marks {
    pub fn has(&self, style: Style) -> bool {
        self.outermost.iter().any(|mark| mark.style == style)
    }

    pub fn open(&mut self, style: Style, output: &mut Output) {
        let is_outermost = !self.has(style);
        self.open.push(is_outermost);
        if is_outermost {
            self.outermost.push(Mark::open(style, output));
        }
    }

    pub fn close(&mut self, output: &mut Output) {
        if self.open.pop() == Some(true)
            && let Some(mark) = self.outermost.pop()
        {
            mark.close(output);
        }
    }

    /// Closes all marks, runs `act`, and opens them again.
    pub fn across(&mut self, output: &mut Output, act: impl FnOnce(&mut Output)) {
        for mark in self.outermost.iter().rev() {
            mark.close(output);
        }
        act(output);
        for mark in &mut self.outermost {
            *mark = Mark::open(mark.style, output);
        }
    }
}

impl Mark {
    fn open(style: Style, output: &mut Output) -> Self {
        let is_written = output.add_pair(style.mark());
        Self {
            style,
            start: is_written.then(|| output.text().len()),
        }
    }

    /// Writes the closing mark, or removes the opening one if the style is empty.
    fn close(&self, output: &mut Output) {
        let mark = self.style.mark();
        match self.start {
            None => {}
            Some(start) if output.text().len() == start => output.truncate(start - mark.len()),
            Some(_) => output.write(mark),
        }
    }
}
