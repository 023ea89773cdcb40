// One line a fact on standard error, marked so that it stands out from the gateway's own log.

/** Writes one line. Callers pass names, ids and reasons, never tokens or what people said. */
export function log(line) {
  process.stderr.write(`[clawkaka] ${line}\n`);
}
