// The assistant's SQLite database: made once, then the agent's own.

import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/** The version schema.sql describes, kept in the file as `PRAGMA user_version`. */
const SCHEMA_VERSION = 1;
/** A previous start may still be letting go of the file. */
const BUSY_LIMIT_MS = 5_000;

/**
 * Brings the database at `path` to our schema's version, all of it or nothing; one that is there
 * already is not touched. Returns whether anything was done.
 */
export function seedDatabase(schemaPath, path) {
  const database = new DatabaseSync(path, { timeout: BUSY_LIMIT_MS });
  try {
    if (versionOf(database) >= SCHEMA_VERSION) return false;
    // Kept in the file; cannot be set inside a transaction.
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
