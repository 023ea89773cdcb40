// Reads the sandbox's environment once, and reports all problems together.

import { createHash } from "node:crypto";
import { join } from "node:path";

const REQUIRED = [
  "OPENCLAW_GATEWAY_TOKEN",
  "OPENROUTER_API_KEY",
  "OPENCLAW_MODEL",
  "CLAWKAKA_DEVICE_ID",
  "CLAWKAKA_DEVICE_PUBLIC_KEY",
];
const DEFAULT_HEARTBEAT_EVERY = "30m";
/** The directory of OpenClaw's compiled code, created while the image was built. */
export const COMPILE_CACHE = "/opt/compile-cache";

/**
 * Reads `env` into typed settings.
 *
 * Returns `{ settings, problems }`; `settings` may be used only when `problems` is empty. Problems
 * name variables and never repeat the value of a secret.
 */
export function readEnvironment(env) {
  const missing = REQUIRED.filter((name) => !env[name]?.trim());
  const problems = missing.length > 0 ? [`missing environment variables: ${missing.join(", ")}`] : [];
  const read = (name, parse) => {
    const value = env[name]?.trim();
    if (!value) return undefined;
    const parsed = parse(value);
    if (parsed.problem) problems.push(`${name} ${parsed.problem}`);
    return parsed.value;
  };
  const home = env.HOME || "/home/claw";
  const settings = {
    home,
    // Not OpenClaw's default inside its state directory, where OpenClaw lets no `sqlite3` command open a file.
    workspace: join(home, "assistant"),
    openClawToken: env.OPENCLAW_GATEWAY_TOKEN?.trim(),
    model: read("OPENCLAW_MODEL", parseModel),
    baseUrl: read("OPENROUTER_BASE_URL", parseBaseUrl),
    heartbeatEvery: read("HEARTBEAT_EVERY", parseInterval) ?? DEFAULT_HEARTBEAT_EVERY,
    timeZone: read("TZ", parseTimeZone),
    device: {
      id: env.CLAWKAKA_DEVICE_ID?.trim().toLowerCase(),
      publicKey: read("CLAWKAKA_DEVICE_PUBLIC_KEY", parsePublicKey),
    },
  };
  if (settings.device.id && settings.device.publicKey && deviceId(settings.device.publicKey) !== settings.device.id) {
    problems.push("CLAWKAKA_DEVICE_ID is not the SHA-256 of CLAWKAKA_DEVICE_PUBLIC_KEY");
  }
  return { settings, problems };
}

/** OpenClaw's environment: ours without the variables that only start.mjs needs. */
export function openClawEnvironment(env, settings) {
  const names = Object.entries(env).filter(([name]) => !name.startsWith("CLAWKAKA_"));
  return {
    ...Object.fromEntries(names),
    HOME: settings.home,
    OPENCLAW_STATE_DIR: join(settings.home, ".openclaw"),
    // With the second variable OpenClaw uses the cache as it is and does not start itself a second time.
    NODE_COMPILE_CACHE: COMPILE_CACHE,
    OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED: "1",
  };
}

/** OpenClaw's device id: lower-case hex SHA-256 of the raw 32-byte public key. */
export function deviceId(publicKey) {
  return createHash("sha256").update(Buffer.from(publicKey, "base64url")).digest("hex");
}

/** Accepts `vendor/model` and `openrouter/vendor/model`; OpenClaw expects the latter. */
function parseModel(value) {
  if (!/^[\w.:@~-]+(\/[\w.:@~-]+)+$/.test(value)) {
    return { problem: "must look like vendor/model or openrouter/vendor/model" };
  }
  return { value: value.startsWith("openrouter/") ? value : `openrouter/${value}` };
}

function parseBaseUrl(value) {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (!["http:", "https:"].includes(url?.protocol)) return { problem: "must be an http or https URL" };
  return { value: value.replace(/\/+$/, "") };
}

function parseInterval(value) {
  return /^\d+(s|m|h)$/.test(value) ? { value } : { problem: "must look like 30m, 2h or 0m (never)" };
}

function parseTimeZone(value) {
  try {
    Intl.DateTimeFormat("en", { timeZone: value });
    return { value };
  } catch {
    return { problem: "must be a time zone like Europe/Berlin" };
  }
}

/** Accepts a raw Ed25519 key of 32 bytes in either base64; returns base64url, the form OpenClaw reports. */
function parsePublicKey(value) {
  const raw = Buffer.from(value, "base64url");
  return raw.length === 32 ? { value: raw.toString("base64url") } : { problem: "must be 32 bytes in base64url" };
}
