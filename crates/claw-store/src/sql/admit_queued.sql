-- The caller holds the capacity lock: no place is taken between counting and admitting.
WITH free AS (
    SELECT GREATEST($1 - count(*), 0) AS places FROM sandbox WHERE status = ANY ($3::text[])
), next AS (
    -- A suspended or blocked user waits on: their sandbox would not be started.
    SELECT id FROM sandbox
    WHERE status = 'queued' AND (engine IS NULL OR engine = $5)
      AND NOT EXISTS (SELECT FROM suspension WHERE suspended_at IS NOT NULL)
      AND NOT EXISTS (SELECT FROM "user" WHERE "user".id = sandbox.user_id AND suspended_at IS NOT NULL)
      AND NOT EXISTS (SELECT FROM access_list WHERE access_list.user_id = sandbox.user_id AND list = 'block')
    ORDER BY requested_at, id LIMIT (SELECT places FROM free)
), admitted AS (
    UPDATE sandbox AS s SET status = 'requested', host = $4, updated_at = $2 FROM next WHERE s.id = next.id RETURNING s.*
)
SELECT {sandbox} FROM admitted AS s ORDER BY s.requested_at, s.id
