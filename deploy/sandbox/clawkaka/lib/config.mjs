// OpenClaw's configuration for one user's assistant. OpenClaw does not start with an unknown key, so this
// file matches the pinned release.

/** Longest a turn may take. OpenClaw's default is two days. */
const TURN_LIMIT_SECONDS = 600;

const HEARTBEAT_PROMPT =
  "This is a heartbeat, not a message from the person. Read HEARTBEAT.md in your workspace and follow it. " +
  "Reply with the message to send, or with NO_REPLY if nothing deserves one.";

/**
 * The tools of a personal assistant. OpenClaw's other tools need its web interface, its channels or other
 * machines, none of which exist here, and they would only lengthen the prompt.
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
 * Renders `openclaw.json` as an object. It contains no secrets: OpenClaw reads its token and the model key
 * from the environment.
 */
export function renderConfig(settings, port) {
  return {
    gateway: {
      mode: "local",
      // Connections to the port that Docker publishes do not arrive on the container's loopback.
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
    // No bundled skill is useful here, and an empty list would allow all of them.
    skills: { allowBundled: ["none"] },
    ...modelProvider(settings),
    agents: {
      defaults: {
        model: { primary: settings.model },
        // "none" runs the heartbeat and delivers to no channel; the backend reads the transcript. With any
        // other target OpenClaw skips the run, because it has no channel here.
        heartbeat: { every: settings.heartbeatEvery, target: "none", prompt: HEARTBEAT_PROMPT },
        timeoutSeconds: TURN_LIMIT_SECONDS,
        workspace: settings.workspace,
        // lib/workspace.mjs writes the files instead.
        skipBootstrap: true,
        maxConcurrent: 1,
        ...(settings.timeZone ? { userTimezone: settings.timeZone } : {}),
      },
    },
    // The container isolates the agent, and nobody is there to approve its commands.
    tools: {
      allow: TOOLS,
      exec: { host: "gateway", security: "full", ask: "off" },
      // With search enabled and a model key present, each start tries to download a search plugin.
      web: { search: { enabled: false } },
    },
    // The default, "steer", adds a message to the turn that answers the message before it.
    messages: { queue: { mode: "followup" } },
    cron: { enabled: true },
  };
}

function modelProvider({ baseUrl }) {
  return baseUrl ? { models: { providers: { openrouter: { baseUrl, models: [] } } } } : {};
}
