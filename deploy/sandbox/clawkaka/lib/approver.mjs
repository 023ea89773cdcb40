// Approves our backend's device with the gateway in this container, over its public RPC.
//
// From outside, a device must be approved before it may do anything; from loopback the gateway
// token is enough. So this connection, made inside, vouches for the one key it was told of.

import { decide } from "./approval.mjs";

const SCOPES = ["operator.read", "operator.write", "operator.admin", "operator.pairing"];
/** The gateway takes 10 to 40 seconds to listen; asking it locally costs nothing. */
const PAUSE_MS = 1_000;
/** After a refusal, which a repetition will hardly change, the pause doubles up to this. */
const LONGEST_PAUSE_MS = 30_000;
/** Two of the gateway's 30-second ticks, and some. */
const SILENCE_LIMIT_MS = 75_000;

/** Keeps a connection for as long as the process lives. `connect` is replaced in tests. */
export async function runApprover({ url, token, trusted, log, connect = (address) => new WebSocket(address) }) {
  let pause = PAUSE_MS;
  for (;;) {
    const session = new Session({ token, trusted, log });
    await serve(connect(url), session);
    pause = session.refused ? Math.min(pause * 2, LONGEST_PAUSE_MS) : PAUSE_MS;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Pumps frames until the connection ends. */
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
        // A frame of a shape we do not know must not end the process that supervises the gateway.
        socket.close();
      }
    };
    socket.onclose = () => {
      clearTimeout(silence);
      resolve();
    };
    // A close follows; what went wrong (not yet listening, mostly) is not worth a line.
    socket.onerror = () => {};
  });
}

/** One connection's conversation, without the connection: a frame in, frames to send out. */
export class Session {
  /** The gateway turned us away for a reason that will not pass by itself. */
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
      // Requests made while nobody listened.
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

  /** Codes only: a gateway's message may quote what it was sent. */
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
