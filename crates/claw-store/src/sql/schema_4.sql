-- Turns of a call are counted as they are taken; their numbers have gaps. Wrong PINs are counted by person.
ALTER TABLE "call"
    ADD COLUMN last_turn      integer NOT NULL DEFAULT 0,  -- the highest number of a spoken turn
    ADD COLUMN last_spoken_at timestamptz,                 -- when the caller spoke last
    DROP COLUMN pin_failures;

UPDATE "call" SET last_turn = turns WHERE turns > 0;

-- As small as the number of calls that are being made.
CREATE INDEX call_under_way ON "call" (started_at) WHERE ended_at IS NULL;
