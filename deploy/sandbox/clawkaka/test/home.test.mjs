import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";

import { seedDatabase } from "../lib/database.mjs";
import { writeAtomically } from "../lib/files.mjs";
import { installWorkspace, shouldWrite } from "../lib/workspace.mjs";

const PRODUCT = join(import.meta.dirname, "..");

test("a written file is readable by its owner only and replaces the old one", () => {
  const path = join(folder(), "deep", "openclaw.json");
  writeAtomically(path, "old");
  writeAtomically(path, "new");
  assert.equal(readFileSync(path, "utf8"), "new");
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("an empty workspace gets every file of ours, and a second start writes nothing", () => {
  const { install, read } = workspace();
  assert.ok(install().includes("skills/pa-database/SKILL.md"));
  assert.match(read("SOUL.md"), /personal assistant/);
  assert.deepEqual(install(), []);
});

test("a file that the agent changed is kept, and a file that it deleted is restored", () => {
  const { install, path, read } = workspace();
  install();
  writeFileSync(path("USER.md"), "- Always call them Kim.\n");
  rmSync(path("SCHEMA.md"));
  assert.deepEqual(install(), ["SCHEMA.md"]);
  assert.equal(read("USER.md"), "- Always call them Kim.\n");
});

test("a newer file of ours replaces only a file that was never edited", () => {
  assert.equal(shouldWrite("new", "old", "old"), true);
  assert.equal(shouldWrite("new", "edited", "old"), false);
  assert.equal(shouldWrite("new", undefined, "old"), true);
  assert.equal(shouldWrite("same", "same", "same"), false);
});

test("with a damaged record of installed files, the agent's files are kept", () => {
  const { install, path, record } = workspace();
  install();
  writeFileSync(path("SOUL.md"), "mine");
  writeFileSync(record, "{");
  assert.deepEqual(install(), []);
});

test("the schema is created once, and a later start does not touch the database", () => {
  const path = join(folder(), "assistant.db");
  assert.equal(seedDatabase(join(PRODUCT, "schema.sql"), path), true);
  query(path, "DROP VIEW open_tasks; INSERT INTO tasks (title) VALUES ('keep me');");
  assert.equal(seedDatabase(join(PRODUCT, "schema.sql"), path), false);
  assert.equal(query(path, "SELECT title FROM tasks;"), "keep me");
});

test("a schema that fails throws and leaves the database empty", () => {
  const directory = folder();
  const schema = join(directory, "broken.sql");
  writeFileSync(schema, "CREATE TABLE one (id INTEGER); CREATE TABLE two (;");
  assert.throws(() => seedDatabase(schema, join(directory, "assistant.db")));
  assert.equal(query(join(directory, "assistant.db"), "SELECT count(*) FROM sqlite_master;"), "0");
});

test("every table and view the agent is told about exists", () => {
  const names = objectNames();
  const told = readFileSync(join(PRODUCT, "workspace", "SCHEMA.md"), "utf8");
  const bullets = told.split("\n").filter((line) => line.startsWith("- `") && !line.includes("*"));
  const mentioned = bullets.flatMap((line) => [...line.matchAll(/^- `(\w+)`|, `(\w+)`$/g)].map((m) => m[1] ?? m[2]));
  assert.deepEqual(mentioned.filter((name) => !names.includes(name)), []);
  assert.deepEqual(names.filter((name) => !told.includes(`\`${name}\``)), []);
});

test("every recipe of the skill runs with the command line tool the agent uses", () => {
  const path = seeded();
  const skill = readFileSync(join(PRODUCT, "workspace/skills/pa-database/SKILL.md"), "utf8");
  const recipes = [...skill.matchAll(/```sql\n([\s\S]*?)```/g)].map((match) => match[1]);
  assert.ok(recipes.length >= 4);
  for (const recipe of recipes) query(path, recipe);
  const script = /```bash\n([\s\S]*?)```/.exec(skill)[1].replace("assistant.db", path);
  const run = spawnSync("bash", ["-c", script], { encoding: "utf8" });
  assert.deepEqual([run.status, run.stdout], [0, "1\n450|2000\n"]);
});

test("a day is compared with the goal that applied on that day", () => {
  const path = seeded();
  query(path, `INSERT INTO nutrition_goals (starts_on, calories) VALUES ('2026-03-01', 2000), ('2026-03-10', 1800);
    INSERT INTO meals (eaten_at, kind, description, calories) VALUES
      ('2026-03-09 08:00', 'breakfast', 'oats', 300), ('2026-03-09 13:00', 'lunch', 'soup', 400),
      ('2026-03-10 13:00', 'lunch', 'soup', 400), ('2026-02-01 13:00', 'lunch', 'soup', 400);`);
  const rows = query(path, "SELECT day, meals, calories, goal_calories FROM nutrition_by_day ORDER BY day;");
  assert.equal(rows, "2026-02-01|1|400|\n2026-03-09|2|700|2000\n2026-03-10|1|400|1800");
});

test("money adds up exactly", () => {
  const path = seeded();
  query(path, `INSERT INTO expenses (spent_on, amount_cents, currency) VALUES
      ('2026-03-01', 10, 'EUR'), ('2026-03-02', 20, 'EUR'), ('2026-03-02', 500, 'USD');
    INSERT INTO income (received_on, amount_cents, currency, source) VALUES ('2026-03-01', 100000, 'EUR', 'salary');`);
  assert.equal(query(path, "SELECT * FROM balance_by_month WHERE currency = 'EUR';"), "2026-03|EUR|1000.00|0.30|999.70");
});

for (const [what, sql] of [
  ["a date in another form", "INSERT INTO expenses (spent_on, amount_cents, currency) VALUES ('1.3.2026', 1, 'EUR');"],
  ["a time with seconds", "INSERT INTO meals (eaten_at, kind, description) VALUES ('2026-03-01 12:00:00', 'lunch', 'x');"],
  ["a fraction of a cent", "INSERT INTO expenses (spent_on, amount_cents, currency) VALUES ('2026-03-01', 4.5, 'EUR');"],
  ["a done task without its time", "INSERT INTO tasks (title, status) VALUES ('x', 'done');"],
  ["an unknown status", "INSERT INTO reminders (text, due_at, status) VALUES ('x', '2026-03-01 12:00', 'soon');"],
]) {
  test(`${what} is refused`, () => {
    const path = seeded();
    assert.throws(() => query(path, sql));
  });
}

function folder() {
  return mkdtempSync(join(tmpdir(), "clawkaka-"));
}

function seeded() {
  const path = join(folder(), "assistant.db");
  seedDatabase(join(PRODUCT, "schema.sql"), path);
  return path;
}

function workspace() {
  const directory = folder();
  const record = join(directory, "installed.json");
  const path = (name) => join(directory, "workspace", name);
  return {
    record,
    path,
    read: (name) => readFileSync(path(name), "utf8"),
    install: () => installWorkspace(join(PRODUCT, "workspace"), join(directory, "workspace"), record),
  };
}

/** Runs SQL with the `sqlite3` command, as the agent does. Throws its error output. */
function query(path, sql) {
  const run = spawnSync("sqlite3", ["-bail", path], { input: sql, encoding: "utf8" });
  if (run.status !== 0) throw new Error(run.stderr);
  return run.stdout.trim();
}

function objectNames() {
  const database = new DatabaseSync(seeded());
  const rows = database.prepare("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')").all();
  database.close();
  return rows.map((row) => row.name);
}
