-- The first end counts. The row of an unknown call is created by its end, with an unverified caller.
INSERT INTO "call" (id, user_id, trust, started_at, ended_at, duration_seconds, outcome)
VALUES ($1, $2, 'unverified', $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE
SET ended_at = $4, duration_seconds = $5, outcome = $6
WHERE "call".ended_at IS NULL
