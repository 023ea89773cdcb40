-- Phone calls. A caller's turns wait in the same inbox as written messages.

ALTER TABLE "user"
    -- Opens WhatsApp's 24-hour window. A phone call does not: null for a user who has only called.
    ALTER COLUMN last_inbound_at DROP NOT NULL,
    ADD COLUMN language         text           -- BCP 47, the spoken language the user set; null: by the number
                                CHECK (language ~ '^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    ADD COLUMN pin_sealed       text,          -- identifies the user on the phone
    ADD COLUMN pin_failures     integer NOT NULL DEFAULT 0,  -- consecutive wrong tries
    ADD COLUMN pin_locked_until timestamptz;

ALTER TABLE message
    ADD COLUMN call_id uuid,                   -- the phone call it belongs to
    ADD COLUMN turn    integer,                -- of that call; 0 for the ringing
    ADD CONSTRAINT voice_has_its_call CHECK (
        (source = 'voice') = (call_id IS NOT NULL) AND (call_id IS NULL) = (turn IS NULL)),
    ADD CONSTRAINT voice_kind_is_known CHECK (
        source <> 'voice' OR (wamid IS NULL AND kind IN ('call_started', 'speech', 'call_ended')));

-- No call has been stored so far.
ALTER TABLE "call"
    -- The number of an unverified caller may belong to no known user.
    DROP CONSTRAINT call_user_id_fkey,
    DROP COLUMN how_ended,
    ADD COLUMN trust         text NOT NULL DEFAULT 'unverified' CHECK (trust IN ('trusted', 'unverified')),
    ADD COLUMN unlocked_at   timestamptz,      -- the caller gave the right PIN
    ADD COLUMN pin_failures  integer NOT NULL DEFAULT 0,
    ADD COLUMN setup_awaited boolean NOT NULL DEFAULT false,  -- the caller was told that the assistant is being set up
    ADD COLUMN outcome       text CHECK (outcome IN ('completed', 'busy', 'failed', 'no_answer', 'canceled')),
    ADD COLUMN sequence      bigint;           -- of its first event in INBOUND; null if only its end is known
