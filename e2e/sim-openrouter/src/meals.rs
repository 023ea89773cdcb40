//! A diary of meals: enough of an assistant to show that a message becomes a row in a database.

use super::{action::Action, prompt::Prompt};

/// Starts of a sentence about a meal.
const EATING: [&str; 8] = [
    "i had ",
    "i ate ",
    "i've had ",
    "just had ",
    "just ate ",
    "had ",
    "ate ",
    "having ",
];

/// Parts of a question about meals.
const ASKING: [&str; 4] = [
    "what did i eat",
    "what have i eaten",
    "what did i have",
    "my meals",
];

/// Kinds of meal that a sentence can name.
const KINDS: [&str; 5] = ["breakfast", "lunch", "dinner", "snack", "drink"];

/// Rough calories of one piece or portion.
const CALORIES: [(&str, u32); 12] = [
    ("roti", 110),
    ("dal", 180),
    ("rice", 200),
    ("egg", 80),
    ("coffee", 5),
    ("tea", 5),
    ("apple", 95),
    ("banana", 105),
    ("wrap", 450),
    ("pizza", 280),
    ("salad", 150),
    ("toast", 90),
];

/// Calories of a food that is not in the table.
const UNKNOWN_CALORIES: u32 = 250;

/// Answers sentences and questions about meals. `None` for any other text, or without the tool `exec`.
pub(crate) fn assist(prompt: &Prompt) -> Option<Action> {
    if !prompt.has_exec {
        return None;
    }
    let said = prompt.said.to_lowercase();
    if ASKING.iter().any(|question| said.contains(question)) {
        return Some(match prompt.results.last() {
            None => Action::Exec(sqlite(LIST)),
            Some(rows) => Action::Say(listed(rows)),
        });
    }
    let meal = Meal::read(&prompt.said)?;
    Some(match prompt.results.last() {
        None => Action::Exec(sqlite(&meal.insert())),
        Some(result) => Action::Say(meal.confirm(result)),
    })
}

const LIST: &str = "SELECT kind || ': ' || description || ' (~' || coalesce(calories, '?') || ' kcal)' \
     FROM meals WHERE date(eaten_at) = date('now', 'localtime') ORDER BY eaten_at, id;";

fn listed(rows: &str) -> String {
    let rows: Vec<&str> = rows.lines().filter(|row| row.contains(": ")).collect();
    if rows.is_empty() {
        return "Nothing is written down for today yet.".to_owned();
    }
    format!("Today you had:\n- {}", rows.join("\n- "))
}

/// A command that runs `sql` on the assistant's database in the workspace.
fn sqlite(sql: &str) -> String {
    format!("sqlite3 -bail -cmd '.timeout 5000' assistant.db <<'SQL'\n{sql}\nSQL")
}

struct Meal {
    kind: &'static str,
    description: String,
    calories: u32,
}

impl Meal {
    fn read(said: &str) -> Option<Self> {
        let lower = said.trim().to_lowercase();
        let begins = EATING.iter().find(|begin| lower.starts_with(*begin))?;
        let rest = lower[begins.len()..].trim_end_matches(['.', '!']);
        let named = KINDS.into_iter().find(|kind| rest.contains(kind));
        let what = match named.and_then(|kind| rest.split_once(&format!(" for {kind}"))) {
            Some((what, _)) => what,
            None => rest,
        };
        let description: String = what
            .chars()
            .filter(|c| c.is_alphanumeric() || " ,.-&".contains(*c))
            .collect();
        let description = description.trim().to_owned();
        (!description.is_empty()).then(|| Self {
            kind: named.unwrap_or("snack"),
            calories: estimate(&description),
            description,
        })
    }

    fn insert(&self) -> String {
        let Self {
            kind,
            description,
            calories,
        } = self;
        format!(
            "INSERT INTO meals (eaten_at, kind, description, calories) VALUES \
             (strftime('%Y-%m-%d %H:%M', 'now', 'localtime'), '{kind}', '{description}', {calories});\n\
             SELECT 'total ' || sum(calories) FROM meals WHERE date(eaten_at) = date('now', 'localtime');"
        )
    }

    fn confirm(&self, result: &str) -> String {
        let total = result
            .lines()
            .find_map(|line| line.trim().strip_prefix("total "));
        match total {
            Some(total) => format!(
                "Logged: {} (~{} kcal). {total} so far today.",
                self.description, self.calories
            ),
            None => "I could not write that down just now. Please tell me again later.".to_owned(),
        }
    }
}

fn estimate(description: &str) -> u32 {
    let mut sum = 0;
    let mut count = 1;
    for word in description.split(|c: char| !c.is_alphanumeric()) {
        if let Ok(number) = word.parse::<u32>() {
            count = number.min(20);
        } else if let Some((_, calories)) = CALORIES
            .iter()
            .find(|(food, _)| word == *food || word.strip_suffix('s') == Some(food))
        {
            sum += count * calories;
            count = 1;
        }
    }
    if sum == 0 { UNKNOWN_CALORIES } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meal_is_inserted_and_then_confirmed_in_one_line() {
        let said = "Had 2 rotis and dal for lunch";

        let Some(Action::Exec(command)) = assist(&Prompt::of(said, &[])) else {
            panic!()
        };
        let confirmed = assist(&Prompt::of(said, &["total 400"]));

        assert!(
            command.contains("'lunch', '2 rotis and dal', 400)"),
            "{command}"
        );
        assert_eq!(
            confirmed,
            Some(Action::Say(
                "Logged: 2 rotis and dal (~400 kcal). 400 so far today.".to_owned()
            ))
        );
    }

    #[test]
    fn a_database_error_is_not_reported_as_success() {
        let said = "I ate an apple.";

        let Some(Action::Say(words)) = assist(&Prompt::of(said, &["Error: no such table"])) else {
            panic!()
        };

        assert!(words.starts_with("I could not"), "{words}");
    }

    #[test]
    fn questions_are_answered_from_the_rows() {
        let said = "What did I eat today?";

        assert!(matches!(
            assist(&Prompt::of(said, &[])),
            Some(Action::Exec(_))
        ));
        assert_eq!(
            assist(&Prompt::of(said, &["lunch: dal (~180 kcal)\n"])),
            Some(Action::Say(
                "Today you had:\n- lunch: dal (~180 kcal)".to_owned()
            ))
        );
    }

    #[test]
    fn characters_that_would_end_the_sql_statement_are_left_out() {
        let Some(Action::Exec(command)) =
            assist(&Prompt::of("had soup'); DROP TABLE meals; --", &[]))
        else {
            panic!()
        };

        assert!(command.contains("'soup drop table meals --'"), "{command}");
    }
}
