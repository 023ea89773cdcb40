-- The assistant's database, version 1. Run inside a transaction, once per database (lib/database.mjs).
--
-- Conventions: the assistant writes `*_at` and `*_on` in the person's local time, as 'YYYY-MM-DD HH:MM' or
-- 'YYYY-MM-DD'; `created_at` is UTC and for bookkeeping only. Money is in hundredths of its currency, so that sums
-- are exact. Dates are checked with IS, because SQLite's date functions return NULL for text that is not a date, and
-- a CHECK that is NULL passes.

CREATE TABLE IF NOT EXISTS tasks (
  id           INTEGER PRIMARY KEY,
  title        TEXT NOT NULL CHECK (trim(title) <> ''),
  notes        TEXT,
  status       TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'done', 'dropped')),
  priority     TEXT NOT NULL DEFAULT 'normal' CHECK (priority IN ('low', 'normal', 'high')),
  due_on       TEXT CHECK (due_on IS date(due_on)),
  project      TEXT,
  completed_at TEXT CHECK (completed_at IS strftime('%Y-%m-%d %H:%M', completed_at)),
  created_at   TEXT NOT NULL DEFAULT (datetime('now')),
  CHECK ((status = 'done') = (completed_at IS NOT NULL))
) STRICT;
CREATE INDEX IF NOT EXISTS tasks_by_status ON tasks (status, due_on);

CREATE TABLE IF NOT EXISTS reminders (
  id            INTEGER PRIMARY KEY,
  text          TEXT NOT NULL CHECK (trim(text) <> ''),
  due_at        TEXT NOT NULL CHECK (due_at IS strftime('%Y-%m-%d %H:%M', due_at)),
  time_zone     TEXT NOT NULL DEFAULT 'UTC',
  repeats       TEXT,                       -- in words, such as 'every weekday'; NULL: once
  status        TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'sent', 'cancelled')),
  automation_id TEXT,                       -- the automation that sends the reminder
  task_id       INTEGER REFERENCES tasks (id) ON DELETE SET NULL,
  created_at    TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE INDEX IF NOT EXISTS reminders_by_status ON reminders (status, due_at);

CREATE TABLE IF NOT EXISTS meals (
  id           INTEGER PRIMARY KEY,
  eaten_at     TEXT NOT NULL CHECK (eaten_at IS strftime('%Y-%m-%d %H:%M', eaten_at)),
  kind         TEXT NOT NULL CHECK (kind IN ('breakfast', 'lunch', 'dinner', 'snack', 'drink')),
  description  TEXT NOT NULL CHECK (trim(description) <> ''),
  calories     INTEGER CHECK (calories BETWEEN 0 AND 20000),
  protein_g    REAL CHECK (protein_g >= 0),
  carbs_g      REAL CHECK (carbs_g >= 0),
  fat_g        REAL CHECK (fat_g >= 0),
  is_estimated INTEGER NOT NULL DEFAULT 1 CHECK (is_estimated IN (0, 1)),
  created_at   TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE INDEX IF NOT EXISTS meals_by_time ON meals (eaten_at);

CREATE TABLE IF NOT EXISTS nutrition_goals (
  id         INTEGER PRIMARY KEY,
  starts_on  TEXT NOT NULL UNIQUE CHECK (starts_on IS date(starts_on)),
  calories   INTEGER CHECK (calories > 0),
  protein_g  REAL CHECK (protein_g >= 0),
  carbs_g    REAL CHECK (carbs_g >= 0),
  fat_g      REAL CHECK (fat_g >= 0),
  notes      TEXT,
  created_at TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;

CREATE TABLE IF NOT EXISTS expenses (
  id           INTEGER PRIMARY KEY,
  spent_on     TEXT NOT NULL CHECK (spent_on IS date(spent_on)),
  amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
  currency     TEXT NOT NULL CHECK (currency GLOB '[A-Z][A-Z][A-Z]'),
  category     TEXT NOT NULL DEFAULT 'other',
  merchant     TEXT,
  description  TEXT,
  created_at   TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE INDEX IF NOT EXISTS expenses_by_day ON expenses (spent_on, category);

CREATE TABLE IF NOT EXISTS income (
  id           INTEGER PRIMARY KEY,
  received_on  TEXT NOT NULL CHECK (received_on IS date(received_on)),
  amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
  currency     TEXT NOT NULL CHECK (currency GLOB '[A-Z][A-Z][A-Z]'),
  source       TEXT NOT NULL CHECK (trim(source) <> ''),
  description  TEXT,
  created_at   TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE INDEX IF NOT EXISTS income_by_day ON income (received_on);

CREATE TABLE IF NOT EXISTS contacts (
  id           INTEGER PRIMARY KEY,
  name         TEXT NOT NULL CHECK (trim(name) <> ''),
  relationship TEXT,
  phone        TEXT,
  email        TEXT,
  birthday     TEXT CHECK (birthday IS date(birthday) OR birthday GLOB '--[01][0-9]-[0-3][0-9]'),
  notes        TEXT,
  created_at   TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;
CREATE INDEX IF NOT EXISTS contacts_by_name ON contacts (name COLLATE NOCASE);

CREATE TABLE IF NOT EXISTS schema_changes (
  id         INTEGER PRIMARY KEY,
  reason     TEXT NOT NULL CHECK (trim(reason) <> ''),
  statement  TEXT NOT NULL CHECK (trim(statement) <> ''),
  created_at TEXT NOT NULL DEFAULT (datetime('now'))
) STRICT;

CREATE VIEW IF NOT EXISTS open_tasks AS
SELECT id, title, priority, due_on, project, notes
FROM tasks
WHERE status = 'open'
ORDER BY due_on IS NULL, due_on, CASE priority WHEN 'high' THEN 0 WHEN 'normal' THEN 1 ELSE 2 END, id;

CREATE VIEW IF NOT EXISTS pending_reminders AS
SELECT id, due_at, time_zone, text, repeats, automation_id, task_id
FROM reminders
WHERE status = 'pending'
ORDER BY due_at, id;

CREATE VIEW IF NOT EXISTS nutrition_by_day AS
SELECT
  day, meals, calories, protein_g, carbs_g, fat_g,
  (SELECT goal.calories FROM nutrition_goals AS goal
   WHERE goal.starts_on <= day ORDER BY goal.starts_on DESC LIMIT 1) AS goal_calories,
  (SELECT goal.protein_g FROM nutrition_goals AS goal
   WHERE goal.starts_on <= day ORDER BY goal.starts_on DESC LIMIT 1) AS goal_protein_g
FROM (
  SELECT
    date(eaten_at) AS day, count(*) AS meals, sum(calories) AS calories,
    round(sum(protein_g), 1) AS protein_g, round(sum(carbs_g), 1) AS carbs_g, round(sum(fat_g), 1) AS fat_g
  FROM meals
  GROUP BY date(eaten_at)
);

CREATE VIEW IF NOT EXISTS spending_by_month AS
SELECT
  substr(spent_on, 1, 7) AS month, currency, category,
  count(*) AS entries, printf('%.2f', sum(amount_cents) / 100.0) AS amount
FROM expenses
GROUP BY month, currency, category;

CREATE VIEW IF NOT EXISTS balance_by_month AS
SELECT
  month, currency,
  printf('%.2f', sum(received) / 100.0) AS income,
  printf('%.2f', sum(spent) / 100.0) AS expenses,
  printf('%.2f', (sum(received) - sum(spent)) / 100.0) AS balance
FROM (
  SELECT substr(received_on, 1, 7) AS month, currency, amount_cents AS received, 0 AS spent FROM income
  UNION ALL
  SELECT substr(spent_on, 1, 7), currency, 0, amount_cents FROM expenses
)
GROUP BY month, currency;
