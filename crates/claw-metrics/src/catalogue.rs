use crate::{Counter, Description, Gauge, Histogram, Type};

/// Upper bounds of the buckets of every histogram, in seconds: from a publish on the same machine to the
/// longest turn of an agent. The bounds are fixed, so that the histograms of replicas can be added up.
pub const BUCKETS_SECONDS: [f64; 16] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    180.0,
];

const fn count(labels: &[&str]) -> usize {
    labels.len()
}

/// Makes a constant of each entry, and the list of all entries. The doc comment of an entry is its help text.
macro_rules! catalogue {
    ($(
        $(#[doc = $help:literal])+
        $type:ident $constant:ident = $name:literal [$($label:literal),*];
    )+) => {
        $(
            $(#[doc = $help])+
            pub const $constant: $type<{ count(&[$($label),*]) }> = $type::new($name, [$($label),*]);
        )+

        /// Every entry of the catalogue.
        pub static ALL: [Description; count(&[$($name),+])] = [$(
            Description {
                name: $name,
                r#type: Type::$type,
                help: concat!($($help),+).trim_ascii_start(),
                labels: &[$($label),*],
            },
        )+];

        /// The names of the constants.
        #[cfg(test)]
        pub(crate) const CONSTANTS: &[&str] = &[$(stringify!($constant)),+];
    };
}

// The WhatsApp webhook (ingress).
catalogue! {
    /// WhatsApp webhook requests, by outcome: `stored`, or the reason of the refusal.
    Counter WHATSAPP_WEBHOOKS = "clawkaka_whatsapp_webhooks_total" ["outcome"];
    /// Time from the arrival of a WhatsApp webhook request to its response.
    Histogram WHATSAPP_WEBHOOK_DURATION = "clawkaka_whatsapp_webhook_duration_seconds" ["outcome"];
    /// Webhook requests whose body is arriving from senders who have not sent a valid signature lately.
    Gauge UNVERIFIED_REQUESTS = "clawkaka_unverified_requests" [];
    /// Memory of the bodies of webhook requests, in bytes.
    Gauge REQUEST_BODY_BYTES = "clawkaka_request_body_bytes" [];
    /// Messages from users that are stored, by kind of content. A repeated webhook counts again.
    Counter MESSAGES_RECEIVED = "clawkaka_messages_received_total" ["kind"];
    /// Delivery reports from WhatsApp that are stored, by reported state. A repeated webhook counts again.
    Counter DELIVERY_REPORTS_RECEIVED = "clawkaka_delivery_reports_received_total" ["state"];
    /// Parts of WhatsApp webhooks that are stored in the stream DEAD, by what is wrong with them.
    Counter WHATSAPP_DEAD_LETTERS = "clawkaka_whatsapp_dead_letters_total" ["reason"];
    /// Messages and delivery reports that are ignored because they belong to another phone number id.
    Counter WHATSAPP_ITEMS_IGNORED = "clawkaka_whatsapp_items_ignored_total" [];
    /// Errors of our WhatsApp account that Meta has reported.
    Counter WHATSAPP_ACCOUNT_ERRORS = "clawkaka_whatsapp_account_errors_total" [];
    /// Other news from Meta about our WhatsApp account, by webhook field.
    Counter WHATSAPP_ACCOUNT_UPDATES = "clawkaka_whatsapp_account_updates_total" ["field"];

    /// Voice webhook requests, by webhook and by outcome: `answered`, `failed`, or the reason of the refusal.
    Counter VOICE_WEBHOOKS = "clawkaka_voice_webhooks_total" ["webhook", "outcome"];
    /// Time from the arrival of a voice webhook request to its response.
    Histogram VOICE_WEBHOOK_DURATION = "clawkaka_voice_webhook_duration_seconds" ["webhook"];
    /// Voice webhook requests and relay sockets that are refused because their signature is missing or wrong.
    Counter VOICE_UNSIGNED = "clawkaka_voice_unsigned_total" [];
    /// Callers who are told that something is broken.
    Counter VOICE_APOLOGIES = "clawkaka_voice_apologies_total" [];
    /// ConversationRelay sessions that have ended, by outcome.
    Counter RELAY_SESSIONS = "clawkaka_relay_sessions_total" ["outcome"];
    /// ConversationRelay sessions that are open.
    Gauge RELAY_SESSIONS_OPEN = "clawkaka_relay_sessions_open" [];
    /// ConversationRelay sessions that have failed, after which the call went on turn by turn.
    Counter RELAY_FALLBACKS = "clawkaka_relay_fallbacks_total" [];
    /// Messages over a ConversationRelay socket that stand out: `interrupt`, `error` and `unreadable`.
    Counter RELAY_MESSAGES = "clawkaka_relay_messages_total" ["kind"];
    /// Steps of calls that the gateway has handled.
    Counter CALL_STEPS = "clawkaka_call_steps_total" ["step"];
    /// PINs that callers have given, by outcome: `right`, `wrong` or `refused`.
    Counter PIN_ATTEMPTS = "clawkaka_pin_attempts_total" ["outcome"];
    /// Calls that are assumed to have ended, because Twilio never reported their end.
    Counter CALLS_ASSUMED_ENDED = "clawkaka_calls_assumed_ended_total" [];
    /// Answers to callers, by outcome: spoken `whole` or `cut`, `late`, or `unheard` and sent to the chat.
    Counter SPOKEN_ANSWERS = "clawkaka_spoken_answers_total" ["outcome"];

    /// Events that operators have been told of, by kind. A repeated event is counted at most once an hour.
    Counter OPERATOR_EVENTS = "clawkaka_operator_events_total" ["kind"];
    /// Messages and calls of newcomers, by outcome: they came in as `listed`, `invited` or `counted`; or they were
    /// refused, by notice, as a `caller`, or as `ignored` because they had been told before.
    Counter NEWCOMERS = "clawkaka_newcomers_total" ["outcome"];
    /// Messages and calls of blocked users, which are dropped.
    Counter BLOCKED = "clawkaka_blocked_total" [];

    /// Users whose messages are being handled in this process.
    Gauge USERS_ACTIVE = "clawkaka_users_active" [];
    /// Messages that are done, by outcome: answered in a `turn`, with a `notice` or with `nothing`.
    Counter MESSAGES_DONE = "clawkaka_messages_done_total" ["outcome"];
    /// Turns of agents that have ended, by outcome: `said`, `silent`, or the reason why there is no answer.
    Counter TURNS = "clawkaka_turns_total" ["outcome"];
    /// Notices that we, and not the assistant, have sent to users.
    Counter NOTICES = "clawkaka_notices_total" ["notice"];
    /// Proactive messages, by source and by outcome: `sent`, `held`, `withheld`, `released` after being held, or
    /// `dropped` because there were too many.
    Counter PROACTIVE_MESSAGES = "clawkaka_proactive_messages_total" ["source", "outcome"];
    /// Suspensions in force: `everybody` is 1 or 0, and `user` counts those of single users.
    Gauge SUSPENDED = "clawkaka_suspended" ["scope"];
    /// Sandboxes that this process found idle and that have fallen asleep.
    Counter SLEEPS = "clawkaka_sleeps_total" [];
    /// Wakes of sandboxes, by reason: a `message` or a `call` that waits, a due `job`, or a `heartbeat`. The last two are
    /// counted again when another process takes over the user.
    Counter WAKES = "clawkaka_wakes_total" ["reason"];
    /// Time that a message or a call waits for a sandbox, by what the sandbox does: it is made as a `new` one, or it
    /// `wakes`.
    Histogram SANDBOX_WAIT = "clawkaka_sandbox_wait_seconds" ["kind"];
    /// Attempts to connect to a sandbox, by outcome: `connected` or `failed`.
    Counter AGENT_CONNECTIONS = "clawkaka_agent_connections_total" ["outcome"];
    /// Sandboxes that were disconnected because they sent too much, by what: `frames`, `bytes`, `long_message`,
    /// `slow_message` or `rows`.
    Counter SANDBOX_FLOODS = "clawkaka_sandbox_floods_total" ["kind"];

    /// Replies that are finished, by outcome (`delivered`, `failed`, or `blocked` by the operator) and by
    /// source.
    Counter REPLIES = "clawkaka_replies_total" ["outcome", "source"];
    /// Requests to WhatsApp to send a piece of a reply, by form and by outcome: `taken`, or the error.
    Counter SENDS = "clawkaka_sends_total" ["form", "outcome"];
    /// Time WhatsApp takes to answer a request to send.
    Histogram SEND_DURATION = "clawkaka_send_duration_seconds" [];
    /// Delivery reports that are handled, by reported state, `unknown_status`, or `not_ours` for messages that
    /// others sent over the same number.
    Counter DELIVERY_REPORTS_HANDLED = "clawkaka_delivery_reports_handled_total" ["state"];
    /// Typing indicators, by outcome: `shown`, `failed`, or `left_out` while too many are under way.
    Counter TYPING_INDICATORS = "clawkaka_typing_indicators_total" ["outcome"];

    /// Sandboxes, by status.
    Gauge SANDBOXES = "clawkaka_sandboxes" ["status"];
    /// Starts of sandboxes that have ended, by outcome: `ready`, or the reason of the failure.
    Counter SANDBOX_STARTS = "clawkaka_sandbox_starts_total" ["outcome"];
    /// Time from the permit to start a sandbox until the sandbox is ready.
    Histogram SANDBOX_START_DURATION = "clawkaka_sandbox_start_duration_seconds" [];
    /// Sandboxes that are to be started and wait until fewer others are starting.
    Gauge SANDBOX_STARTS_WAITING = "clawkaka_sandbox_starts_waiting" [];
    /// Sandboxes that ended by themselves while they were ready and are started over, by cause: `died`, or `hung` for those
    /// that no longer answered.
    Counter SANDBOX_RESTARTS = "clawkaka_sandbox_restarts_total" ["cause"];
    /// Sandboxes that have to wake, or to be tried again, and wait because all places are taken.
    Gauge SANDBOXES_OVERDUE = "clawkaka_sandboxes_overdue" [];
    /// How many sandboxes may be awake, by what limits them: the host's `memory`, its `ports`, its `bridge`, or the operator's
    /// `setting`. The lowest number is in force.
    Gauge SANDBOX_ROOM = "clawkaka_sandbox_room" ["kind"];
    /// Spare sandboxes, which belong to nobody yet: those that are `ready`, and those that are `starting`.
    Gauge SPARE_SANDBOXES = "clawkaka_spare_sandboxes" ["status"];
    /// Newcomers while there is a pool, by outcome: `hit` if a spare sandbox was ready for them, or `miss`.
    Counter POOL_CLAIMS = "clawkaka_pool_claims_total" ["outcome"];
    /// Time in which a newcomer gets a spare sandbox.
    Histogram POOL_CLAIM_DURATION = "clawkaka_pool_claim_duration_seconds" [];
    /// Containers and model keys that belonged to no sandbox and are removed.
    Counter ORPHANS_REMOVED = "clawkaka_orphans_removed_total" ["kind"];

    /// Attempts to handle an event, by consumer and by outcome.
    Counter EVENTS = "clawkaka_events_total" ["consumer", "outcome"];
    /// Partitions that this process has a lease for.
    Gauge PARTITIONS_OWNED = "clawkaka_partitions_owned" ["group"];
    /// Leases of partitions that this process has taken, by cause: `free`, `lapsed` or `regained`.
    Counter TAKEOVERS = "clawkaka_takeovers_total" ["group", "cause"];
    /// Waits that a fallback timer ended because the awaited event had not arrived: for a `sandbox`, the end of a
    /// `turn`, a `delivery` of the bus, the status of a `call`, a `suspension`, or WhatsApp's `report` on a message.
    Counter WAITS_ENDED_BY_CLOCK = "clawkaka_waits_ended_by_clock_total" ["wait"];
}
