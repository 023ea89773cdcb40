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
pub struct Marks(Vec<Mark>);

#[derive(Debug)]
struct Mark {
    style: Style,
    is_shown: bool,
    /// Where the text after the mark begins.
    start: usize,
}

impl Marks {
    pub fn has(&self, style: Style) -> bool {
        self.0.iter().any(|mark| mark.style == style)
    }

    pub fn open(&mut self, style: Style, output: &mut Output) {
        let is_shown = !self.has(style);
        if is_shown {
            output.write(style.mark());
        }
        self.0.push(Mark {
            style,
            is_shown,
            start: output.text().len(),
        });
    }

    pub fn close(&mut self, output: &mut Output) {
        if let Some(mark) = self.0.pop() {
            mark.close(output);
        }
    }

    /// Closes all marks, runs `act`, and opens them again.
    pub fn across(&mut self, output: &mut Output, act: impl FnOnce(&mut Output)) {
        for mark in self.0.iter().rev() {
            mark.close(output);
        }
        act(output);
        for mark in &mut self.0 {
            if mark.is_shown {
                output.write(mark.style.mark());
            }
            mark.start = output.text().len();
        }
    }
}

impl Mark {
    /// Writes the closing mark, or removes the opening one if the style is empty.
    fn close(&self, output: &mut Output) {
        if !self.is_shown {
            return;
        }
        let mark = self.style.mark();
        if output.text().len() == self.start {
            output.truncate(self.start - mark.len());
        } else {
            output.write(mark);
        }
    }
}
