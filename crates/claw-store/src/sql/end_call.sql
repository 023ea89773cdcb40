-- The first end counts. The row of an unknown call is created by its end, unless the number belongs to no user or to a
-- blocked one: such a call was refused, and leaves nothing.
INSERT INTO "call" (id, user_id, started_at, ended_at, duration_seconds, outcome)
SELECT $1, $2, $3, $4, $5, $6
WHERE EXISTS (SELECT FROM "call" WHERE id = $1)
   OR (EXISTS (SELECT FROM "user" WHERE id = $2)
       AND NOT EXISTS (SELECT FROM access_list WHERE user_id = $2 AND list = 'block'))
ON CONFLICT (id) DO UPDATE
SET ended_at = $4, duration_seconds = $5, outcome = $6
WHERE "call".ended_at IS NULL
