-- A call that is known, or known to be over, stays as it is.
INSERT INTO "call" (id, user_id, trust, started_at, sequence)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO NOTHING
