-- The first schema. Spare room in each page (fillfactor) lets the updates of the hot path stay on their
-- page and leave the indices alone; no column they change is indexed, except a delivery's wamid, once.
-- What is written for every message refers to its person by a foreign key once, in "message"; more of them
-- would cost a tenth of the throughput, and the statements take the other references from rows they read.

CREATE TABLE "user" (
    id                uuid PRIMARY KEY,        -- follows from the address, see claw-domain
    phone             text UNIQUE,             -- E.164 with its +
    wa_user_id        text,                    -- WhatsApp's own id, the only address of who hides the number
    name              text,                    -- as the profile says
    created_at        timestamptz NOT NULL,
    last_inbound_at   timestamptz NOT NULL,    -- opens WhatsApp's 24 hours of free answers
    first_answered_at timestamptz,
    CONSTRAINT user_can_be_reached CHECK (phone IS NOT NULL OR wa_user_id IS NOT NULL)
) WITH (fillfactor = 80);

-- Addresses that lead to another person than the one they would derive: a changed number, a linked id.
CREATE TABLE alias (
    id         uuid PRIMARY KEY,               -- the user id the address alone gives
    user_id    uuid NOT NULL REFERENCES "user",
    created_at timestamptz NOT NULL
);

CREATE TABLE sandbox (
    id                    uuid PRIMARY KEY,
    user_id               uuid UNIQUE REFERENCES "user",  -- null while nobody's
    host                  text NOT NULL,
    container_name        text NOT NULL,
    container_id          text,
    port                  integer CHECK (port BETWEEN 1 AND 65535),
    endpoint              text,
    status                text NOT NULL CHECK
                          (status IN ('queued', 'requested', 'starting', 'ready', 'failed', 'removed')),
    error                 text,                           -- why it failed
    start                 integer NOT NULL,               -- which start of it, from 1
    cause                 uuid,                           -- the message that asked last
    attempt               integer NOT NULL,               -- for which time that message asked, from 0
    model                 text NOT NULL,
    gateway_token_sealed  text NOT NULL,
    device_seed_sealed    text NOT NULL,
    model_key_sealed text,
    model_key_hash   text,
    model_key_name   text,                           -- written before the key is made
    transcript_cursor     text,                           -- how far the transcript has been read
    boot_id               text,                           -- in which run of the agent
    requested_at          timestamptz NOT NULL,
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL,
    UNIQUE (host, port),
    CONSTRAINT ready_means_reachable CHECK (status <> 'ready' OR endpoint IS NOT NULL)
) WITH (fillfactor = 60);

CREATE INDEX sandbox_in_line ON sandbox (status, requested_at);

CREATE TABLE message (
    id           uuid PRIMARY KEY,             -- a message's or a reply's id
    position     bigint GENERATED ALWAYS AS IDENTITY,
    user_id      uuid NOT NULL REFERENCES "user",
    sandbox_id   uuid,
    role         text NOT NULL CHECK (role IN ('user', 'assistant')),
    status       text NOT NULL CHECK (status IN ('received', 'complete')),
    source       text NOT NULL,                -- the channel it came by, or why it was said
    kind         text NOT NULL,
    content      text NOT NULL,
    run_id       text,
    cause        uuid,                         -- the message this answers
    wamid        text,                         -- WhatsApp's id of what the person sent
    sent_at      timestamptz,                  -- by the person's clock
    created_at   timestamptz NOT NULL,
    completed_at timestamptz
) WITH (fillfactor = 90);

CREATE INDEX message_by_cause ON message (cause) WHERE cause IS NOT NULL;

CREATE TABLE delivery (
    id            uuid PRIMARY KEY,            -- follows from reply and piece
    reply_id      uuid NOT NULL,
    user_id       uuid NOT NULL,
    piece         integer NOT NULL,            -- from 0
    state         smallint NOT NULL CHECK (state BETWEEN 0 AND 7),  -- DeliveryState::rank
    wamid         text,                        -- WhatsApp's id of what we sent
    attempts      integer NOT NULL,
    sending_since timestamptz,
    error_code    bigint,                      -- the channel's, of the failure
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
