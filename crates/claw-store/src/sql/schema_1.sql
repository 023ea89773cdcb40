-- The first schema. Free space in each page (fillfactor) keeps the updates of the hot path on their page, so that
-- they do not touch the indices; they change no indexed column, except a delivery's wamid, once. Of the rows
-- written for every message only "message" has a foreign key to the user: more would cost a tenth of the
-- throughput, and the statements take the other references from rows they read.

CREATE TABLE "user" (
    id                uuid PRIMARY KEY,        -- derived from the address, see claw-domain
    phone             text UNIQUE,             -- E.164 with the +
    wa_user_id        text,                    -- WhatsApp's id, the only address of a user with a hidden number
    name              text,                    -- in the WhatsApp profile
    created_at        timestamptz NOT NULL,
    last_inbound_at   timestamptz NOT NULL,    -- opens WhatsApp's 24-hour window for free-form answers
    first_answered_at timestamptz,
    CONSTRAINT user_can_be_reached CHECK (phone IS NOT NULL OR wa_user_id IS NOT NULL)
) WITH (fillfactor = 80);

-- Addresses of a user other than the one the user's id is derived from: a changed number, a linked id.
CREATE TABLE alias (
    id         uuid PRIMARY KEY,               -- the user id derived from the address
    user_id    uuid NOT NULL REFERENCES "user",
    created_at timestamptz NOT NULL
);

CREATE TABLE sandbox (
    id                    uuid PRIMARY KEY,
    user_id               uuid UNIQUE REFERENCES "user",  -- null while it belongs to no user
    host                  text NOT NULL,
    container_name        text NOT NULL,
    container_id          text,
    port                  integer CHECK (port BETWEEN 1 AND 65535),
    endpoint              text,
    status                text NOT NULL CHECK
                          (status IN ('queued', 'requested', 'starting', 'ready', 'failed', 'removed')),
    error                 text,                           -- the reason of the failure
    start                 integer NOT NULL,               -- number of the current start, from 1
    cause                 uuid,                           -- the message that last requested it
    attempt               integer NOT NULL,               -- number of earlier requests for that message
    model                 text NOT NULL,
    gateway_token_sealed  text NOT NULL,
    device_seed_sealed    text NOT NULL,
    model_key_sealed      text,
    model_key_hash        text,                           -- the provider's id of the key
    model_key_name        text,                           -- stored before the key is made
    transcript_cursor     text,                           -- position up to which the transcript was read
    boot_id               text,                           -- the agent process that issued the cursor
    requested_at          timestamptz NOT NULL,
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL,
    UNIQUE (host, port),
    CONSTRAINT ready_means_reachable CHECK (status <> 'ready' OR endpoint IS NOT NULL)
) WITH (fillfactor = 60);

CREATE INDEX sandbox_in_line ON sandbox (status, requested_at);

CREATE TABLE message (
    id           uuid PRIMARY KEY,             -- of the message or the reply
    position     bigint GENERATED ALWAYS AS IDENTITY,
    user_id      uuid NOT NULL REFERENCES "user",
    sandbox_id   uuid,
    role         text NOT NULL CHECK (role IN ('user', 'assistant')),
    status       text NOT NULL CHECK (status IN ('received', 'complete')),
    source       text NOT NULL,                -- the channel it arrived on, or why it is said
    kind         text NOT NULL,
    content      text NOT NULL,
    run_id       text,
    cause        uuid,                         -- the message that this answers
    wamid        text,                         -- WhatsApp's id of the user's message
    sent_at      timestamptz,                  -- by WhatsApp's clock
    created_at   timestamptz NOT NULL,
    completed_at timestamptz
) WITH (fillfactor = 90);

CREATE INDEX message_by_cause ON message (cause) WHERE cause IS NOT NULL;

CREATE TABLE delivery (
    id            uuid PRIMARY KEY,            -- derived from reply and piece
    reply_id      uuid NOT NULL,
    user_id       uuid NOT NULL,
    piece         integer NOT NULL,            -- from 0
    state         smallint NOT NULL CHECK (state BETWEEN 0 AND 7),  -- DeliveryState::rank
    wamid         text,                        -- WhatsApp's id of our message
    attempts      integer NOT NULL,
    sending_since timestamptz,
    error_code    bigint,                      -- the channel's code of the failure
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
) WITH (fillfactor = 60);

CREATE INDEX delivery_by_wamid ON delivery (wamid) WHERE wamid IS NOT NULL;

CREATE TABLE "call" (
    id               uuid PRIMARY KEY,
    user_id          uuid NOT NULL REFERENCES "user",
    started_at       timestamptz NOT NULL,
    ended_at         timestamptz,
    duration_seconds integer,
    turns            integer NOT NULL DEFAULT 0,
    how_ended        text
);

CREATE INDEX call_of_user ON "call" (user_id, started_at);
