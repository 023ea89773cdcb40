-- The caller holds the capacity lock: no place is taken between counting and admitting.
WITH free AS (
    SELECT GREATEST($1 - count(*), 0) AS places FROM sandbox WHERE status = ANY ($3::text[])
), next AS (
    -- Newcomers last.
    SELECT id FROM sandbox WHERE {waiting} ORDER BY start = 1, requested_at, id LIMIT (SELECT places FROM free)
), admitted AS (
    UPDATE sandbox AS s SET status = 'requested', host = $4, updated_at = $2 FROM next WHERE s.id = next.id RETURNING s.*
)
SELECT {sandbox} FROM admitted AS s ORDER BY s.start = 1, s.requested_at, s.id
