// Logs to standard error, with a prefix that distinguishes our lines from OpenClaw's.

/** Writes one line. Callers pass names, ids and reasons, never tokens or message texts. */
export function log(line) {
  process.stderr.write(`[clawkaka] ${line}\n`);
}
