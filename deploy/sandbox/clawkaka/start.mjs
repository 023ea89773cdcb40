// Starts one user's assistant: checks its environment, prepares its home, then runs OpenClaw as a child
// process until that ends. The device approver runs in this process.
//
// Exit codes: 78 when the environment or the home cannot be used, otherwise OpenClaw's own.

import { spawn } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { cachedDataVersionTag } from "node:v8";

import { runApprover } from "./lib/approver.mjs";
import { renderConfig } from "./lib/config.mjs";
import { seedDatabase } from "./lib/database.mjs";
import { COMPILE_CACHE, openClawEnvironment, readEnvironment } from "./lib/environment.mjs";
import { writeAtomically } from "./lib/files.mjs";
import { log } from "./lib/log.mjs";
import { installWorkspace } from "./lib/workspace.mjs";

const PRODUCT = import.meta.dirname;
const OPENCLAW_PORT = 18789;
const OPENCLAW = "/opt/openclaw/node_modules/openclaw/openclaw.mjs";
/**
 * Sizes in MB at which V8's heap begins. With V8's own, 1 and about 20, a start spends a tenth of its CPU time on
 * collecting garbage from a heap that is still growing.
 */
const HEAP = ["--min-semi-space-size=32", "--initial-heap-size=300"];
/** EX_CONFIG of sysexits.h: the configuration is wrong, and starting again does not help. */
const EXIT_CONFIG = 78;

function main() {
  const { settings, problems } = readEnvironment(process.env);
  if (process.getuid() === 0) problems.push("must not run as root");
  if (problems.length > 0) {
    for (const problem of problems) log(problem);
    process.exit(EXIT_CONFIG);
  }
  const stateDir = join(settings.home, ".openclaw");
  try {
    prepareHome(settings, stateDir);
  } catch (error) {
    log(`cannot prepare ${stateDir}: ${error.message}`);
    process.exit(EXIT_CONFIG);
  }
  attempt("looking for compiled code", warnOfOtherProcessor);
  superviseOpenClaw(settings);
  runApprover({ url: `ws://127.0.0.1:${OPENCLAW_PORT}/`, token: settings.openClawToken, trusted: settings.device, log });
}

/**
 * Only a failure to write the configuration prevents the start. A workspace or database that the agent
 * has broken must not take the assistant away from its user, so such a failure is only logged.
 */
function prepareHome(settings, stateDir) {
  const { workspace } = settings;
  mkdirSync(workspace, { recursive: true, mode: 0o700 });
  writeAtomically(join(stateDir, "openclaw.json"), `${JSON.stringify(renderConfig(settings, OPENCLAW_PORT), null, 2)}\n`);
  attempt("installing the workspace", () =>
    installWorkspace(join(PRODUCT, "workspace"), workspace, join(stateDir, "clawkaka", "installed.json")),
  );
  attempt("preparing the database", () =>
    seedDatabase(join(PRODUCT, "schema.sql"), join(workspace, "assistant.db")),
  );
}

/** V8 ignores compiled code from a processor with other features; Node keeps it in a directory that names them. */
function warnOfOtherProcessor() {
  const isOurs = (name) => Number.parseInt(name.split("-")[2], 16) === cachedDataVersionTag();
  if (!readdirSync(COMPILE_CACHE).some(isOurs)) {
    log("no compiled code for this kind of processor, so the start takes longer: build the image on a machine like this one");
  }
}

function attempt(what, effect) {
  try {
    effect();
  } catch (error) {
    log(`${what} failed: ${error.message}`);
  }
}

function superviseOpenClaw(settings) {
  const openClaw = spawn(process.execPath, [...HEAP, OPENCLAW, "gateway", "run", "--port", String(OPENCLAW_PORT)], {
    stdio: ["ignore", "inherit", "inherit"],
    env: openClawEnvironment(process.env, settings),
  });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
    process.on(signal, () => openClaw.kill(signal));
  }
  openClaw.on("error", (error) => {
    log(`cannot start OpenClaw: ${error.message}`);
    process.exit(1);
  });
  openClaw.on("exit", (code, signal) => {
    log(`OpenClaw ended (${signal ?? code})`);
    process.exit(code ?? 128 + constants.signals[signal]);
  });
}

main();
