import assert from "node:assert/strict";
import { test } from "node:test";

import { decide } from "../lib/approval.mjs";
import { Session } from "../lib/approver.mjs";

const TRUSTED = {
  id: "9bec0a64fd7329655f0ec9c1bbd8643dafdeb91fe829620f66e2d048f2eb73f4",
  publicKey: "lGxCsJjOumupoZ3mCcexz_rM_5iGom0p_zBN7Bg0QZU",
};

test("our own device is approved", () => {
  assert.deepEqual(decide(request(), TRUSTED), { approve: true });
});

test("our own key is also recognised in standard base64", () => {
  const publicKey = "lGxCsJjOumupoZ3mCcexz/rM/5iGom0p/zBN7Bg0QZU=";
  assert.equal(decide(request({ publicKey }), TRUSTED).approve, true);
});

const REFUSALS = [
  ["another device id", { deviceId: "0".repeat(64) }],
  ["our id with another key", { publicKey: "A".repeat(43) }],
  ["our id without a key", { publicKey: undefined }],
  ["the role of a node", { role: "node" }],
  ["a further role", { roles: ["operator", "node"] }],
  ["a scope nobody agreed to", { scopes: ["operator.read", "operator.talk.secrets"] }],
  ["no request id", { requestId: undefined }],
];

for (const [what, change] of REFUSALS) {
  test(`a request with ${what} is ignored`, () => {
    assert.equal(decide(request(change), TRUSTED).approve, false);
  });
}

test("frames of unexpected shapes are ignored", () => {
  const { session } = connected();
  for (const frame of ["", "[]", "null", '{"type":"event","event":"tick"}', '{"type":"res","id":"99"}']) {
    assert.deepEqual(session.receive(frame), []);
  }
});

test("a session answers the challenge, then asks for requests made before it listened", () => {
  const { session, connect } = connected();
  assert.equal(connect.method, "connect");
  assert.ok(connect.params.scopes.includes("operator.pairing"));
  const [list] = answer(session, connect, {});
  assert.equal(list.method, "device.pair.list");
  const [approve, ...others] = answer(session, list, { pending: [request({ deviceId: "other" }), request()] });
  assert.deepEqual([approve.method, approve.params], ["device.pair.approve", { requestId: "request-1" }]);
  assert.deepEqual(others, []);
});

test("a session approves a request of our device and of no other", () => {
  const { session } = connected();
  const [approve] = event(session, "device.pair.requested", request());
  assert.equal(approve.params.requestId, "request-1");
  assert.deepEqual(event(session, "device.pair.requested", request({ deviceId: "other" })), []);
});

test("the answer that OpenClaw is still starting does not count as a refusal", () => {
  const { session, connect } = connected();
  refuse(session, connect, { code: "UNAVAILABLE", retryable: true });
  assert.equal(session.refused, false);
});

test("a wrong token is a refusal and is not repeated in the log", () => {
  const { session, connect, lines } = connected();
  refuse(session, connect, { code: "INVALID_REQUEST", message: "secret", details: { code: "AUTH_TOKEN_MISMATCH" } });
  assert.equal(session.refused, true);
  assert.deepEqual(lines, ["connecting failed: INVALID_REQUEST AUTH_TOKEN_MISMATCH"]);
});

function request(change = {}) {
  return {
    requestId: "request-1",
    deviceId: TRUSTED.id,
    publicKey: TRUSTED.publicKey,
    role: "operator",
    roles: ["operator"],
    scopes: ["operator.read", "operator.write", "operator.admin"],
    ...change,
  };
}

/** A session that has received the challenge, the connect frame it sent, and the lines it logged. */
function connected() {
  const lines = [];
  const session = new Session({ token: "secret", trusted: TRUSTED, log: (line) => lines.push(line) });
  const [connect] = event(session, "connect.challenge", { nonce: "n", ts: 1 });
  return { session, connect, lines };
}

function event(session, name, payload) {
  return session.receive(JSON.stringify({ type: "event", event: name, payload }));
}

function answer(session, { id }, payload) {
  return session.receive(JSON.stringify({ type: "res", id, ok: true, payload }));
}

function refuse(session, { id }, error) {
  return session.receive(JSON.stringify({ type: "res", id, ok: false, error }));
}
