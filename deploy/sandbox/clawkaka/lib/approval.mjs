// Decides which pairing requests this sandbox approves: those of its own backend and no others.

/** The scopes that the backend requests. A request for any other scope is refused. */
const GRANTED_SCOPES = new Set(["operator.read", "operator.write", "operator.admin"]);

/**
 * Decides on one pairing request, in the form of the event `device.pair.requested` and of the `pending`
 * list of `device.pair.list`.
 *
 * Returns `{ approve: true }` or `{ approve: false, reason }`. `trusted` is `{ id, publicKey }`, with
 * the key in base64url without padding.
 */
export function decide(request, trusted) {
  if (request?.deviceId !== trusted.id) return ignore("another device");
  if (normalKey(request.publicKey) !== trusted.publicKey) return ignore("another public key");
  if (typeof request.requestId !== "string" || request.requestId === "") return ignore("no request id");
  const roles = [request.role].concat(request.roles ?? []);
  if (!roles.every((role) => role === "operator")) return ignore("a role other than operator");
  const scopes = [].concat(request.scopes ?? []);
  if (!scopes.every((scope) => GRANTED_SCOPES.has(scope))) return ignore("more scopes than agreed");
  return { approve: true };
}

function ignore(reason) {
  return { approve: false, reason };
}

function normalKey(key) {
  return typeof key === "string" ? Buffer.from(key, "base64url").toString("base64url") : undefined;
}
