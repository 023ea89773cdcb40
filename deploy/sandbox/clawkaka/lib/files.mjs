// File helpers that leave either the old content or the new, never a part of it.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Replaces `path` with `content` atomically; only its owner can read the file. */
export function writeAtomically(path, content) {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const next = `${path}.${process.pid}.new`;
  // The path may exist, from a killed start or from the agent; it may be a symbolic link, so it is not written to.
  rmSync(next, { recursive: true, force: true });
  writeFileSync(next, content, { mode: 0o600, flag: "wx" });
  renameSync(next, path);
}

/** The content of `path`, or undefined if there is no such file. */
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
