use super::containers::Page;

/// A style WhatsApp knows.
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

/// The styles open at this point. WhatsApp knows no doubled marks and no marks across lines, so a style
/// within itself writes nothing, and every line end closes and opens them.
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

    pub fn open(&mut self, style: Style, page: &mut Page) {
        let is_shown = !self.has(style);
        if is_shown {
            page.write(style.mark());
        }
        self.0.push(Mark {
            style,
            is_shown,
            start: page.text().len(),
        });
    }

    pub fn close(&mut self, page: &mut Page) {
        if let Some(mark) = self.0.pop() {
            mark.close(page);
        }
    }

    /// Does something that marks must not reach across.
    pub fn across(&mut self, page: &mut Page, act: impl FnOnce(&mut Page)) {
        for mark in self.0.iter().rev() {
            mark.close(page);
        }
        act(page);
        for mark in &mut self.0 {
            if mark.is_shown {
                page.write(mark.style.mark());
            }
            mark.start = page.text().len();
        }
    }
}

impl Mark {
    /// Closes the style, or takes its mark back when nothing came after it.
    fn close(&self, page: &mut Page) {
        if !self.is_shown {
            return;
        }
        let mark = self.style.mark();
        if page.text().len() == self.start {
            page.truncate(self.start - mark.len());
        } else {
            page.write(mark);
        }
    }
}
