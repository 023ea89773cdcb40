// Starts one user's assistant: checks what it was given, prepares its home, then runs OpenClaw's
// gateway as a child until that ends, with the device approver beside it in this process.
//
// Exit codes: 78 when the environment or the home cannot be used, else the gateway's own.

import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";

import { runApprover } from "./lib/approver.mjs";
import { renderConfig } from "./lib/config.mjs";
import { seedDatabase } from "./lib/database.mjs";
import { gatewayEnvironment, readEnvironment } from "./lib/environment.mjs";
import { writeAtomically } from "./lib/files.mjs";
import { log } from "./lib/log.mjs";
import { installWorkspace } from "./lib/workspace.mjs";

const PRODUCT = import.meta.dirname;
const GATEWAY_PORT = 18789;
const OPENCLAW = "/opt/openclaw/node_modules/openclaw/openclaw.mjs";
/** sysexits.h: something is wrong with the configuration; starting again will not help. */
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
  superviseGateway(settings);
  runApprover({ url: `ws://127.0.0.1:${GATEWAY_PORT}/`, token: settings.gatewayToken, trusted: settings.device, log });
}

/**
 * Only the configuration is a condition for starting. A workspace or database the agent has broken
 * must not take its user's assistant away, so those are reported and left as they are.
 */
function prepareHome(settings, stateDir) {
  const { workspace } = settings;
  mkdirSync(workspace, { recursive: true, mode: 0o700 });
  writeAtomically(join(stateDir, "openclaw.json"), `${JSON.stringify(renderConfig(settings, GATEWAY_PORT), null, 2)}\n`);
  attempt("installing the workspace", () =>
    installWorkspace(join(PRODUCT, "workspace"), workspace, join(stateDir, "clawkaka", "installed.json")),
  );
  attempt("preparing the database", () =>
    seedDatabase(join(PRODUCT, "schema.sql"), join(workspace, "assistant.db")),
  );
}

function attempt(what, effect) {
  try {
    effect();
  } catch (error) {
    log(`${what} failed: ${error.message}`);
  }
}

function superviseGateway(settings) {
  const gateway = spawn(process.execPath, [OPENCLAW, "gateway", "run", "--port", String(GATEWAY_PORT)], {
    stdio: ["ignore", "inherit", "inherit"],
    env: gatewayEnvironment(process.env, settings),
  });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
    process.on(signal, () => gateway.kill(signal));
  }
  gateway.on("error", (error) => {
    log(`cannot start the gateway: ${error.message}`);
    process.exit(1);
  });
  gateway.on("exit", (code, signal) => {
    log(`gateway ended (${signal ?? code})`);
    process.exit(code ?? 128 + constants.signals[signal]);
  });
}

main();
