-- The voice. What is said on the phone waits in the same inbox as what is written.

ALTER TABLE "user"
    -- Opens WhatsApp's 24 hours. A phone call does not: null for who has only called so far.
    ALTER COLUMN last_inbound_at DROP NOT NULL,
    ADD COLUMN language         text           -- BCP 47, what they want to speak; null: by their number
                                CHECK (language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    ADD COLUMN pin_sealed       text,          -- by what they are known on the phone
    ADD COLUMN pin_failures     integer NOT NULL DEFAULT 0,  -- wrong tries in a row
    ADD COLUMN pin_locked_until timestamptz;

ALTER TABLE message
    ADD COLUMN call_id uuid,                   -- the phone call it belongs to
    ADD COLUMN turn    integer,                -- of that call, 0 for the ringing
    ADD CONSTRAINT voice_has_its_call CHECK (
        (source = 'voice') = (call_id IS NOT NULL) AND (call_id IS NULL) = (turn IS NULL)),
    ADD CONSTRAINT voice_kind_is_known CHECK (
        source <> 'voice' OR (wamid IS NULL AND kind IN ('call_started', 'speech', 'call_ended')));

-- Nobody has written a call down so far.
ALTER TABLE "call"
    -- Who calls under a number that is not vouched for may be nobody we know.
    DROP CONSTRAINT call_user_id_fkey,
    DROP COLUMN how_ended,
    ADD COLUMN trust         text NOT NULL DEFAULT 'unverified' CHECK (trust IN ('trusted', 'unverified')),
    ADD COLUMN unlocked_at   timestamptz,      -- the caller gave the right PIN
    ADD COLUMN pin_failures  integer NOT NULL DEFAULT 0,
    ADD COLUMN setup_awaited boolean NOT NULL DEFAULT false,  -- they heard that their assistant is being made
    ADD COLUMN outcome       text CHECK (outcome IN ('completed', 'busy', 'failed', 'no_answer', 'canceled')),
    ADD COLUMN sequence      bigint;           -- of its first event in INBOUND; null if only its end is known
