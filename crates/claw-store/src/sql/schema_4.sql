-- The turns of a call are counted as they are stored; their numbers have gaps. Wrong PINs are counted by user.
ALTER TABLE "call"
    ADD COLUMN last_turn      integer NOT NULL DEFAULT 0,  -- highest number of a spoken turn
    ADD COLUMN last_spoken_at timestamptz,                 -- when the caller last spoke
    DROP COLUMN pin_failures;

UPDATE "call" SET last_turn = turns WHERE turns > 0;

-- As small as the number of calls in progress.
CREATE INDEX call_under_way ON "call" (started_at) WHERE ended_at IS NULL;
