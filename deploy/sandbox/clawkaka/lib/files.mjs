// Small file helpers that leave either the old content or the new, never half of it.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Replaces `path` with `content`, readable by its owner only, in one step. */
export function writeAtomically(path, content) {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const next = `${path}.${process.pid}.new`;
  // A leftover of a killed start, or something the agent put there: never written through.
  rmSync(next, { recursive: true, force: true });
  writeFileSync(next, content, { mode: 0o600, flag: "wx" });
  renameSync(next, path);
}

/** The content of `path`, or undefined when there is no such file. */
export function readIfPresent(path) {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** Hex SHA-256 of a file's content. */
export function digest(content) {
  return createHash("sha256").update(content).digest("hex");
}
