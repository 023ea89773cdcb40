// Runs the sandbox once while its image is built: start, one turn in which the agent uses its database,
// clean stop. This file also contains the simulated model. Any failure fails the build.

import { spawn } from "node:child_process";
import { createHash, generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

const TOKEN = "rehearsal";
const OPENCLAW = "127.0.0.1:18789";
/** A start takes ten seconds on an idle machine; builds often run on busy machines. */
const START_LIMIT_MS = 180_000;
const TURN_LIMIT_MS = 120_000;

const COMMAND = "sqlite3 assistant.db 'SELECT count(*) FROM open_tasks'";
const PROMISE = { role: "assistant", content: "All set." };

const model = createServer(answerAsModel).listen(0, "127.0.0.1");
await new Promise((resolve) => model.once("listening", resolve));
const sandbox = startSandbox(`http://127.0.0.1:${model.address().port}/api/v1`);
const ended = new Promise((resolve) => sandbox.once("exit", resolve));

await within(START_LIMIT_MS, "OpenClaw to be ready", untilReady());
const reply = await within(TURN_LIMIT_MS, "an answer", takeTurn());
if (reply !== PROMISE.content) throw new Error(`unexpected answer: ${reply}`);
sandbox.kill("SIGTERM");
const code = await within(START_LIMIT_MS, "a clean stop", ended);
if (code !== 0) throw new Error(`the sandbox ended with code ${code}`);
model.close();
model.closeAllConnections();

function startSandbox(baseUrl) {
  const publicKey = generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  return spawn(process.execPath, ["/opt/clawkaka/start.mjs"], {
    stdio: "inherit",
    env: {
      ...process.env,
      OPENCLAW_GATEWAY_TOKEN: TOKEN,
      OPENROUTER_API_KEY: "rehearsal",
      OPENCLAW_MODEL: "rehearsal/model",
      OPENROUTER_BASE_URL: baseUrl,
      HEARTBEAT_EVERY: "0m",
      CLAWKAKA_DEVICE_ID: createHash("sha256").update(publicKey).digest("hex"),
      CLAWKAKA_DEVICE_PUBLIC_KEY: publicKey.toString("base64url"),
    },
  });
}

async function untilReady() {
  for (;;) {
    const answer = await fetch(`http://${OPENCLAW}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
    await pause(500);
  }
}

/** Sends one message from loopback, where the token suffices. Resolves to the answer's text. */
function takeTurn() {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${OPENCLAW}/`);
    const send = (id, method, params) => socket.send(JSON.stringify({ type: "req", id, method, params }));
    socket.onerror = () => reject(new Error("no connection to OpenClaw"));
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === "res" && !frame.ok) reject(new Error(JSON.stringify(frame.error)));
      if (frame.event === "connect.challenge") send("1", "connect", connectParams());
      if (frame.id === "1") {
        send("2", "chat.send", { sessionKey: "agent:main:main", message: "What is open?", idempotencyKey: "rehearsal" });
      }
      if (frame.event !== "chat" || !["final", "error", "aborted"].includes(frame.payload.state)) return;
      socket.close();
      const text = (frame.payload.message?.content ?? []).map((block) => block.text ?? "").join("");
      resolve(text || JSON.stringify(frame.payload));
    };
  });
}

function connectParams() {
  return {
    minProtocol: 4,
    maxProtocol: 4,
    client: { id: "gateway-client", version: "1.0.0", platform: "linux", mode: "backend" },
    role: "operator",
    scopes: ["operator.read", "operator.write"],
    auth: { token: TOKEN },
  };
}

/** Streams an answer as OpenRouter does: first a tool call, then PROMISE if the tool's result is right. */
async function answerAsModel(request, response) {
  const chunks = await request.toArray();
  const { messages = [] } = JSON.parse(Buffer.concat(chunks).toString() || "{}");
  const result = messages.findLast((message) => message.role === "tool");
  const call = { name: "exec", arguments: JSON.stringify({ command: COMMAND }) };
  let delta = { role: "assistant", tool_calls: [{ index: 0, id: "call_1", type: "function", function: call }] };
  if (result) {
    const text = JSON.stringify(result.content);
    delta = /\b0\b/.test(text) ? PROMISE : { role: "assistant", content: `the command said ${text}` };
  }
  response.setHeader("content-type", "text/event-stream");
  const chunk = (choice) => response.write(`data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", choices: [choice] })}\n\n`);
  chunk({ index: 0, delta });
  chunk({ index: 0, delta: {}, finish_reason: result ? "stop" : "tool_calls" });
  response.end("data: [DONE]\n\n");
}

async function within(limitMs, what, promise) {
  const late = pause(limitMs, undefined, { ref: false }).then(() => {
    sandbox.kill("SIGKILL");
    throw new Error(`waited ${limitMs / 1000} s for ${what}`);
  });
  const early = ended.then((code) => {
    throw new Error(`the sandbox ended with code ${code} instead of ${what}`);
  });
  return Promise.race([promise, late, early]);
}
