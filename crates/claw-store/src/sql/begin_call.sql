-- A known call does not change; in particular, an ended one stays ended.
INSERT INTO "call" (id, user_id, trust, started_at, sequence)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO NOTHING
