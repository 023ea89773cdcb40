// OpenClaw's configuration for one user's assistant. Its schema is strict: an unknown key stops the
// gateway from starting, so this is written against the pinned release.

/** Longest a turn may take. The gateway's own default is two days. */
const TURN_LIMIT_SECONDS = 600;

const HEARTBEAT_PROMPT =
  "This is a heartbeat, not a message from the person. Read HEARTBEAT.md in your workspace and follow it. " +
  "Reply with the message to send, or with NO_REPLY if nothing deserves one.";

/**
 * The tools of a personal assistant. The rest of OpenClaw's needs its web interface, its channels or
 * other machines, none of which exist here, and would only fill the prompt.
 */
const TOOLS = [
  "read",
  "write",
  "edit",
  "exec",
  "process",
  "automations",
  "web_fetch",
  "view_image",
  "pdf",
  "session_status",
  "sessions_history",
  "sessions_search",
];

/**
 * Renders `openclaw.json` as an object. Secrets are not in it: the gateway takes its token and the
 * model key from the environment.
 */
export function renderConfig(settings, port) {
  return {
    gateway: {
      mode: "local",
      // Docker publishes the port from outside the container's loopback.
      bind: "lan",
      port,
      auth: { mode: "token", rateLimit: { maxAttempts: 10, windowMs: 60_000, lockoutMs: 300_000 } },
      controlUi: { enabled: false },
    },
    discovery: { mdns: { mode: "off" } },
    update: { checkOnStart: false, auto: { enabled: false } },
    telemetry: { enabled: false },
    browser: { enabled: false },
    plugins: { allow: ["openrouter"], slots: { memory: "none" } },
    // No bundled skill applies here; an empty list would mean all of them.
    skills: { allowBundled: ["none"] },
    ...modelProvider(settings),
    agents: {
      defaults: {
        model: { primary: settings.model },
        // "none" means: run, and deliver to no channel. Any other target skips the run, as OpenClaw
        // knows no channel here; the backend reads the transcript instead.
        heartbeat: { every: settings.heartbeatEvery, target: "none", prompt: HEARTBEAT_PROMPT },
        timeoutSeconds: TURN_LIMIT_SECONDS,
        workspace: settings.workspace,
        // Its files are ours (lib/workspace.mjs).
        skipBootstrap: true,
        maxConcurrent: 1,
        ...(settings.timeZone ? { userTimezone: settings.timeZone } : {}),
      },
    },
    // The container is the sandbox; there is nobody to ask.
    tools: {
      allow: TOOLS,
      exec: { host: "gateway", security: "full", ask: "off" },
      // With a model key present and search on, each start tries to fetch a search plugin.
      web: { search: { enabled: false } },
    },
    // The default, "steer", folds a message into the answer to the one before.
    messages: { queue: { mode: "followup" } },
    cron: { enabled: true },
  };
}

function modelProvider({ baseUrl }) {
  return baseUrl ? { models: { providers: { openrouter: { baseUrl, models: [] } } } } : {};
}
