// Puts our texts into the agent's workspace, which belongs to the agent from then on.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { digest, readIfPresent, writeAtomically } from "./files.mjs";

/**
 * Copies every file under `source` that `workspace` lacks. A file still as we wrote it is replaced
 * by a newer image's version; one the agent or its user has changed is left alone.
 *
 * `record` keeps the digest of what was written, by relative path. Returns the paths written.
 */
export function installWorkspace(source, workspace, record) {
  const installed = readRecord(record);
  const written = [];
  for (const path of filesUnder(source)) {
    const ours = readFileSync(join(source, path));
    const theirs = readIfPresent(join(workspace, path));
    if (!shouldWrite(digest(ours), theirs && digest(theirs), installed[path])) continue;
    writeAtomically(join(workspace, path), ours);
    installed[path] = digest(ours);
    written.push(path);
  }
  if (written.length > 0) writeAtomically(record, `${JSON.stringify(installed, null, 2)}\n`);
  return written;
}

/** The rule, on digests: ours, theirs (undefined: no file), and what we last wrote. */
export function shouldWrite(ours, theirs, lastWritten) {
  if (theirs === undefined) return true;
  return theirs === lastWritten && theirs !== ours;
}

function filesUnder(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

/** An unreadable record is treated as none: then nothing counts as unchanged. */
function readRecord(path) {
  try {
    return { ...JSON.parse(readIfPresent(path) ?? "{}") };
  } catch {
    return {};
  }
}
