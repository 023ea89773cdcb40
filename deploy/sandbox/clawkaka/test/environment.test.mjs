import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

import { renderConfig } from "../lib/config.mjs";
import { deviceId, openClawEnvironment, readEnvironment } from "../lib/environment.mjs";

const PUBLIC_KEY = "lGxCsJjOumupoZ3mCcexz_rM_5iGom0p_zBN7Bg0QZU";
const COMPLETE = {
  HOME: "/home/claw",
  OPENCLAW_GATEWAY_TOKEN: "token",
  OPENROUTER_API_KEY: "key",
  OPENCLAW_MODEL: "acme/tiny",
  CLAWKAKA_DEVICE_ID: deviceId(PUBLIC_KEY),
  CLAWKAKA_DEVICE_PUBLIC_KEY: PUBLIC_KEY,
};

test("a complete environment has no problems", () => {
  assert.deepEqual(readEnvironment(COMPLETE).problems, []);
});

test("all missing names are reported together", () => {
  assert.deepEqual(readEnvironment({ OPENCLAW_MODEL: " " }).problems, [
    "missing environment variables: OPENCLAW_GATEWAY_TOKEN, OPENROUTER_API_KEY, OPENCLAW_MODEL, " +
      "CLAWKAKA_DEVICE_ID, CLAWKAKA_DEVICE_PUBLIC_KEY",
  ]);
});

test("starting without an environment ends with code 78 and names what is missing", () => {
  const start = join(import.meta.dirname, "..", "start.mjs");
  const run = spawnSync(process.execPath, [start], { env: {}, encoding: "utf8" });
  assert.equal(run.status, 78);
  assert.match(run.stderr, /OPENROUTER_API_KEY/);
});

for (const [name, value] of [
  ["OPENCLAW_MODEL", "tiny"],
  ["OPENROUTER_BASE_URL", "host.internal:18080"],
  ["HEARTBEAT_EVERY", "half an hour"],
  ["TZ", "Mars/Olympus"],
  ["CLAWKAKA_DEVICE_PUBLIC_KEY", "AAAA"],
  ["CLAWKAKA_DEVICE_ID", "0".repeat(64)],
]) {
  test(`${name} is refused when it is ${value}`, () => {
    const { problems } = readEnvironment({ ...COMPLETE, [name]: value });
    assert.equal(problems.length, 1);
    assert.ok(problems[0].startsWith(name));
  });
}

test("a model may be named with or without its provider", () => {
  for (const model of ["acme/tiny", "openrouter/acme/tiny"]) {
    assert.equal(configFor({ OPENCLAW_MODEL: model }).agents.defaults.model.primary, "openrouter/acme/tiny");
  }
});

test("the heartbeat runs without a channel, every 30 minutes unless told otherwise", () => {
  assert.equal(configFor({}).agents.defaults.heartbeat.every, "30m");
  assert.equal(configFor({ HEARTBEAT_EVERY: "0m" }).agents.defaults.heartbeat.every, "0m");
  assert.equal(configFor({}).agents.defaults.heartbeat.target, "none");
});

test("a base URL and a time zone appear in the configuration only when given", () => {
  assert.equal("models" in configFor({}), false);
  assert.equal("userTimezone" in configFor({}).agents.defaults, false);
  const config = configFor({ OPENROUTER_BASE_URL: "http://llm.internal/api/v1/", TZ: "Europe/Berlin" });
  assert.deepEqual(config.models.providers.openrouter, { baseUrl: "http://llm.internal/api/v1", models: [] });
  assert.equal(config.agents.defaults.userTimezone, "Europe/Berlin");
});

test("no secret is written to the configuration", () => {
  const text = JSON.stringify(configFor({ OPENCLAW_GATEWAY_TOKEN: "GWSECRET", OPENROUTER_API_KEY: "ORSECRET" }));
  assert.doesNotMatch(text, /GWSECRET|ORSECRET/);
});

test("OpenClaw gets its secrets from the environment and none of our variables", () => {
  const env = openClawEnvironment(COMPLETE, readEnvironment(COMPLETE).settings);
  assert.equal(env.OPENROUTER_API_KEY, "key");
  assert.deepEqual(Object.keys(env).filter((name) => name.startsWith("CLAWKAKA_")), []);
});

function configFor(change) {
  return renderConfig(readEnvironment({ ...COMPLETE, ...change }).settings, 18789);
}
