-- The inbox. A message is stored before it is answered, and waits for the owner of its user. Waiting messages have
-- partial indices, which stay as small as the backlog. The price: the update that answers a message writes new
-- entries into the other indices. They are few, and an update per message is cheaper than a second table. Forming
-- a batch ("burst") does not touch the indices.

-- The partition of a user's events, which decides who owns the user. It must equal what nats-server computes from
-- the user's token in a subject with `partition(64)`: 32-bit FNV-1a over its bytes, modulo 64.
CREATE FUNCTION user_partition(id uuid) RETURNS smallint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    token bytea  := convert_to('usr_' || replace(id::text, '-', ''), 'UTF8');
    hash  bigint := 2166136261;
BEGIN
    FOR i IN 0 .. length(token) - 1 LOOP
        hash := ((hash # get_byte(token, i)) * 16777619) & 4294967295;
    END LOOP;
    RETURN hash % 64;
END
$$;

ALTER TABLE "user"
    ADD COLUMN partition          smallint NOT NULL GENERATED ALWAYS AS (user_partition(id)) STORED,
    ADD COLUMN zone               text,        -- IANA name that the user set; null: by the phone number
    ADD COLUMN quiet              text         -- quiet hours that the user set, local time; null: the default
                                  CHECK (quiet ~ '^(off|[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9])$'),
    ADD COLUMN updates_stopped_at timestamptz; -- the user turned proactive messages off

CREATE INDEX user_by_partition ON "user" (partition);

ALTER TABLE message
    ADD COLUMN sequence   bigint,              -- of the event in INBOUND; null for a reply
    ADD COLUMN burst      uuid,                -- first message of its batch, which is put to the assistant as one turn
    ADD COLUMN held_until timestamptz,         -- not to be published before
    DROP CONSTRAINT message_status_check,
    ADD CONSTRAINT message_status_suits_role CHECK (
        (role = 'user' AND status IN ('received', 'complete', 'given_up')) OR
        (role = 'assistant' AND status IN ('complete', 'held', 'withheld'))),
    ADD CONSTRAINT held_has_an_end CHECK (status <> 'held' OR held_until IS NOT NULL);

-- Messages stored before sequences were: they come before all others.
UPDATE message SET sequence = 0 WHERE status = 'received';

CREATE INDEX message_waiting ON message (user_id, position) WHERE status = 'received';
CREATE INDEX message_held ON message (user_id, position) WHERE status = 'held';
CREATE INDEX message_proactive ON message (user_id, completed_at) WHERE source IN ('heartbeat', 'cron');

-- A reply is published before it is stored: no query looks it up by its cause.
DROP INDEX message_by_cause;
