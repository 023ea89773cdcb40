//! Texts with which an assistant, or an attacker in its name, could exhaust the programs that convert them. Each was
//! slow or became huge in some renderer, ours or another's.

/// A text of about so many bytes.
pub type Bomb = fn(usize) -> String;

/// The names of the texts, and what makes one of about `size` bytes.
pub const BOMBS: [(&str, Bomb); 36] = [
    ("lines inside nested quotes", |size| {
        filled(&">".repeat(size / 2), "a\n", size)
    }),
    ("quotes nested again in each line", |size| {
        repeated("> > > > > > > > > > a\n", size)
    }),
    ("empty lines inside nested lists", |size| {
        filled(&"- ".repeat(size / 4), "\n", size)
    }),
    ("lines inside nested lists", |size| {
        filled(&format!("{}a\n", "1. ".repeat(size / 6)), "a\n", size)
    }),
    ("lists nested line by line", |size| {
        staircase("- a\n", "\t", size)
    }),
    ("quotes and lists nested line by line", |size| {
        staircase("- - - - - - - - a\n", "                ", size)
    }),
    ("lines inside an item with a long number", |size| {
        filled("999999999. a\n", "a\n", size)
    }),
    ("items after one with a long number", |size| {
        filled("999999999. a\n", "1.\n", size)
    }),
    ("nested emphasis", |size| repeated("*a **a ", size)),
    ("nested emphasis and lines", |size| {
        filled(&"*a **a _a ~~a ".repeat(size / 28), "a\n", size)
    }),
    ("lines inside three styles", |size| {
        format!("*_~~{}a~~_*", "a\n".repeat(size / 2))
    }),
    ("stars", |size| repeated("*", size)),
    ("emphasis that may open and close", |size| {
        repeated("a**b_c*d__", size)
    }),
    ("open brackets", |size| repeated("[", size)),
    ("open brackets in a row", |size| {
        format!("|{}\n", "[".repeat(size))
    }),
    ("open links", |size| repeated("[a](", size)),
    ("open brackets between spaces", |size| repeated("[ ", size)),
    ("nested images", |size| {
        let depth = size / 7;
        format!("{}a{}", "![".repeat(depth), "](/b)".repeat(depth))
    }),
    ("nested images of slashes", |size| {
        let depth = size / 12;
        let (open, close) = ("![".repeat(depth), "](/)".repeat(depth));
        format!("{open}{}{close}", "/".repeat(size / 2))
    }),
    ("many links to one long address", |size| {
        filled(
            &format!("[a]: https://a.example/{}\n\n", "x".repeat(size / 2)),
            "[a]",
            size,
        )
    }),
    ("definitions without links", |size| {
        let lines = (0..size / 16).map(|number| format!("[{number}]: /{number}\n"));
        lines.collect()
    }),
    ("entities", |size| repeated("&nGt;&#0;&ngE;", size)),
    ("rows shorter than their table", |size| {
        let head = format!("{}\n{}\n", "|a".repeat(size / 8), "|-".repeat(size / 8));
        filled(&head, "a\n", size)
    }),
    ("rows under long names", |size| {
        let name = "x".repeat(size / 4);
        filled(&format!("|a|{name}|{name}|\n|-|-|-|\n"), "|1|2|3|\n", size)
    }),
    ("open fences in quotes", |size| repeated("> ```\n\n", size)),
    ("runs of backticks", |size| {
        let mut runs = String::new();
        for length in 1.. {
            if runs.len() >= size {
                break;
            }
            runs.push_str(&"`".repeat(length));
            runs.push('a');
        }
        runs
    }),
    ("combining marks", |size| {
        format!("a{}", "\u{301}".repeat(size / 2))
    }),
    ("joined emoji and flags", |size| {
        repeated("👨\u{200d}🇩🇪\u{1f3fd}", size)
    }),
    ("open tags", |size| repeated("<a <!-- <? ", size)),
    ("line breaks inside styles", |size| {
        filled("**_a", "<br>", size)
    }),
    ("underlined lines", |size| repeated("a\n-\n", size)),
    ("dashes", |size| repeated("-", size)),
    ("spaces", |size| repeated(" ", size)),
    ("NULs", |size| repeated("\0", size)),
    ("ends of sentences", |size| repeated("a.))))) ", size)),
    ("one word", |size| repeated("x", size)),
];

fn repeated(unit: &str, size: usize) -> String {
    unit.repeat(size / unit.len())
}

/// `beginning`, and then `unit` again and again.
fn filled(beginning: &str, unit: &str, size: usize) -> String {
    let rest = size.saturating_sub(beginning.len());
    format!("{beginning}{}", repeated(unit, rest))
}

/// Lines that are each indented once more than the line before.
fn staircase(line: &str, indent: &str, size: usize) -> String {
    let mut stairs = String::new();
    for depth in 0.. {
        if stairs.len() + depth * indent.len() >= size {
            break;
        }
        stairs.push_str(&indent.repeat(depth));
        stairs.push_str(line);
    }
    stairs
}
