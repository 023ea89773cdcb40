// The assistant's SQLite database: created once, then changed only by the agent.

import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/** The version of schema.sql, stored in the database as `PRAGMA user_version`. */
const SCHEMA_VERSION = 1;
/** How long to wait for the file: the process of a previous start may still hold a lock on it. */
const BUSY_LIMIT_MS = 5_000;

/**
 * Creates the schema in the database at `path`, all of it or nothing. A database that has the schema is
 * not touched. Returns whether the schema was created.
 */
export function seedDatabase(schemaPath, path) {
  const database = new DatabaseSync(path, { timeout: BUSY_LIMIT_MS });
  try {
    if (versionOf(database) >= SCHEMA_VERSION) return false;
    // Stored in the file, and cannot be set inside a transaction.
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("BEGIN IMMEDIATE");
    database.exec(readFileSync(schemaPath, "utf8"));
    database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    database.exec("COMMIT");
    return true;
  } finally {
    database.close();
  }
}

function versionOf(database) {
  return database.prepare("PRAGMA user_version").get().user_version;
}
