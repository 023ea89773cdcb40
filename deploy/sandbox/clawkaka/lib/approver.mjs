// Approves our backend's device at the OpenClaw in this container, over OpenClaw's public RPC.
//
// OpenClaw serves a device from outside only after it is approved; from loopback the token suffices.
// This connection comes from loopback, and it approves the one key that the environment names.

import { decide } from "./approval.mjs";

const SCOPES = ["operator.read", "operator.write", "operator.admin", "operator.pairing"];
/** Between two attempts to connect. OpenClaw takes 10 to 40 seconds until it listens. */
const PAUSE_MS = 1_000;
/** After a refusal, which another attempt hardly changes, the pause doubles up to this. */
const LONGEST_PAUSE_MS = 30_000;
/** OpenClaw sends a tick every 30 seconds; after two missed ticks the connection counts as dead. */
const SILENCE_LIMIT_MS = 75_000;

/** Keeps a connection open as long as the process lives. Tests replace `connect`. */
export async function runApprover({ url, token, trusted, log, connect = (address) => new WebSocket(address) }) {
  let pause = PAUSE_MS;
  for (;;) {
    const session = new Session({ token, trusted, log });
    await serve(connect(url), session);
    pause = session.refused ? Math.min(pause * 2, LONGEST_PAUSE_MS) : PAUSE_MS;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Passes frames between the socket and the session until the connection ends. */
function serve(socket, session) {
  return new Promise((resolve) => {
    let silence;
    const restartSilence = () => {
      clearTimeout(silence);
      silence = setTimeout(() => socket.close(), SILENCE_LIMIT_MS);
    };
    restartSilence();
    socket.onmessage = ({ data }) => {
      restartSilence();
      try {
        for (const frame of session.receive(data)) socket.send(JSON.stringify(frame));
      } catch {
        // An unknown kind of frame must not end the process that supervises OpenClaw.
        socket.close();
      }
    };
    socket.onclose = () => {
      clearTimeout(silence);
      resolve();
    };
    // A close follows. The usual cause is that OpenClaw does not listen yet, so it is not logged.
    socket.onerror = () => {};
  });
}

/** The protocol of one connection, without the connection: takes a frame, returns the frames to send. */
export class Session {
  /** OpenClaw refused the connection for a reason that is not temporary. */
  refused = false;
  #answers = new Map();
  #requests = 0;

  constructor({ token, trusted, log }) {
    this.token = token;
    this.trusted = trusted;
    this.log = log;
  }

  /** Takes one text frame. Returns the frames that answer it. */
  receive(text) {
    const frame = parse(text);
    if (frame?.type === "event") return this.#event(frame);
    if (frame?.type === "res") return this.#answers.get(frame.id)?.(frame) ?? [];
    return [];
  }

  #event({ event, payload }) {
    if (event === "connect.challenge") return [this.#connect()];
    if (event === "device.pair.requested") return this.#consider(payload);
    return [];
  }

  #connect() {
    const params = {
      minProtocol: 4,
      maxProtocol: 4,
      client: { id: "gateway-client", version: "1.0.0", platform: "linux", mode: "backend" },
      role: "operator",
      scopes: SCOPES,
      auth: { token: this.token },
    };
    return this.#request("connect", params, (answer) => {
      if (!answer.ok) {
        this.refused = answer.error?.retryable !== true;
        return this.#report("connecting", answer);
      }
      this.log("approver is listening");
      // Requests that were made before this connection.
      return [this.#request("device.pair.list", {}, (list) => this.#considerAll(list))];
    });
  }

  #considerAll(answer) {
    if (!answer.ok) return this.#report("listing pairing requests", answer);
    return (answer.payload?.pending ?? []).flatMap((request) => this.#consider(request));
  }

  #consider(request) {
    const decision = decide(request, this.trusted);
    if (!decision.approve) {
      this.log(`pairing request ignored: ${decision.reason}`);
      return [];
    }
    const { requestId } = request;
    return [
      this.#request("device.pair.approve", { requestId }, (answer) => {
        if (!answer.ok) return this.#report("approving our device", answer);
        this.log("our device is approved");
        return [];
      }),
    ];
  }

  #request(method, params, onAnswer) {
    this.#requests += 1;
    const id = String(this.#requests);
    this.#answers.set(id, (answer) => {
      this.#answers.delete(id);
      return onAnswer(answer);
    });
    return { type: "req", id, method, params };
  }

  /** Logs codes only: OpenClaw's messages may quote what it received. */
  #report(doing, answer) {
    const { code, details } = answer.error ?? {};
    if (code !== "UNAVAILABLE") this.log(`${doing} failed: ${[code, details?.code].filter(Boolean).join(" ")}`);
    return [];
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
