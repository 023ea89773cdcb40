-- What a caller proves: what the network attests, or the PIN. What guessing costs: tries of one call, and of one day.

ALTER TABLE "call"
    -- As in claw-domain; a call of which only the end is known has none.
    ADD COLUMN attestation   text CHECK (attestation IN
                                  ('full', 'partial', 'gateway', 'no_verdict', 'failed', 'hidden', 'sip')),
    ADD COLUMN opened_at     timestamptz,                 -- the caller counts as the user of the number
    -- Utterances up to this number are no messages: the first words of a new caller, and PINs.
    ADD COLUMN unstored_turn integer NOT NULL DEFAULT 0,
    ADD COLUMN pin_tries     integer NOT NULL DEFAULT 0,  -- utterances taken as a PIN
    ADD COLUMN wrong_pins    integer NOT NULL DEFAULT 0;

UPDATE "call"
SET attestation = CASE trust WHEN 'trusted' THEN 'no_verdict' ELSE 'hidden' END,
    opened_at = CASE trust WHEN 'trusted' THEN started_at ELSE unlocked_at END;

ALTER TABLE "call"
    DROP COLUMN trust,
    DROP COLUMN unlocked_at;

ALTER TABLE "user"
    DROP COLUMN pin_failures,
    DROP COLUMN pin_locked_until,
    ADD COLUMN template_asked_at timestamptz,  -- pressed the key that asks for a WhatsApp message
    ADD COLUMN warned_of_call    uuid,         -- the last call without proof that the user was told about
    ADD COLUMN warned_at         timestamptz;

-- Wrong PINs of one day, by what the network says about the callers. At most three rows a user.
CREATE TABLE pin_guesses (
    user_id uuid        NOT NULL REFERENCES "user",
    callers text        NOT NULL CHECK (callers IN ('attested', 'shown', 'unproven')),
    since   timestamptz NOT NULL,              -- the first wrong PIN of the day
    wrong   integer     NOT NULL,
    PRIMARY KEY (user_id, callers)
);

ALTER TABLE message
    DROP CONSTRAINT voice_kind_is_known,
    ADD CONSTRAINT voice_kind_is_known CHECK (
        source <> 'voice' OR (wamid IS NULL AND kind IN ('call_started', 'speech', 'call_ended', 'call_warning')));
