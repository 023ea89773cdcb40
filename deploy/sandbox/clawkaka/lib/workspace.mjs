// Copies our texts into the agent's workspace. From then on the files belong to the agent.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { digest, readIfPresent, writeAtomically } from "./files.mjs";

/**
 * Copies every file under `source` that `workspace` lacks. A newer image replaces files that are unchanged
 * since they were written; files that the agent has changed are kept.
 *
 * The file `record` stores the digest of each written file by relative path. Returns the paths written.
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

/** Decides by digests: of our file, of theirs (undefined if there is none), and of the file we last wrote. */
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

/** An unreadable record counts as empty, so that no existing file counts as unchanged. */
function readRecord(path) {
  try {
    return { ...JSON.parse(readIfPresent(path) ?? "{}") };
  } catch {
    return {};
  }
}
