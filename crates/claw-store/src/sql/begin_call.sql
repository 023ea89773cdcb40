-- A known call changes only if it is opened, as the same user: a caller who keys numbers in may name several. An ended
-- one stays ended.
INSERT INTO "call" (id, user_id, attestation, started_at, sequence, opened_at, unstored_turn)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE
SET opened_at = COALESCE("call".opened_at, $6), unstored_turn = GREATEST("call".unstored_turn, $7)
WHERE "call".user_id = $2 AND "call".opened_at IS NULL AND $6::timestamptz IS NOT NULL
