-- The inbox. A message is a row before anybody answers it, and waits here for the one who looks after its
-- person. What waits has indices of its own, which stay as small as the backlog. The price: a row that is
-- answered leaves its index by a new version with new entries in the others. They are few, and a version for
-- each message is cheaper than a second table. Forming a burst stays on the page.

-- The partition of a person's events, and so who looks after the person. It has to be what nats-server makes
-- of the user's token in a subject by `partition(64)`: FNV-1a over its bytes, in 32 bits, modulo 64.
CREATE FUNCTION user_partition(id uuid) RETURNS smallint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    token bytea  := convert_to('usr_' || replace(id::text, '-', ''), 'UTF8');
    hash  bigint := 2166136261;
BEGIN
    FOR place IN 0 .. length(token) - 1 LOOP
        hash := ((hash # get_byte(token, place)) * 16777619) & 4294967295;
    END LOOP;
    RETURN hash % 64;
END
$$;

ALTER TABLE "user"
    ADD COLUMN partition          smallint NOT NULL GENERATED ALWAYS AS (user_partition(id)) STORED,
    ADD COLUMN zone               text,        -- IANA's name, where the person says they are; null: by their number
    ADD COLUMN quiet              text         -- when not to speak first, by their clock; null: as everybody
                                  CHECK (quiet ~ '^(off|[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9])$'),
    ADD COLUMN updates_stopped_at timestamptz; -- they want to hear answers only

CREATE INDEX user_by_partition ON "user" (partition);

ALTER TABLE message
    ADD COLUMN sequence   bigint,              -- of the event in INBOUND; null for what we said
    ADD COLUMN burst      uuid,                -- first message of the turn it was put to the assistant in
    ADD COLUMN held_until timestamptz,         -- not to be said before
    DROP CONSTRAINT message_status_check,
    ADD CONSTRAINT message_status_suits_role CHECK (
        (role = 'user' AND status IN ('received', 'complete', 'given_up')) OR
        (role = 'assistant' AND status IN ('complete', 'held', 'withheld'))),
    ADD CONSTRAINT held_has_an_end CHECK (status <> 'held' OR held_until IS NOT NULL);

-- Taken before sequences were kept: before all others.
UPDATE message SET sequence = 0 WHERE status = 'received';

CREATE INDEX message_waiting ON message (user_id, position) WHERE status = 'received';
CREATE INDEX message_held ON message (user_id, position) WHERE status = 'held';
CREATE INDEX message_proactive ON message (user_id, completed_at) WHERE source IN ('heartbeat', 'cron');

-- What was said to a message is published before it is written down: nobody looks for it here.
DROP INDEX message_by_cause;
