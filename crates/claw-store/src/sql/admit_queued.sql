-- Runs under the lock of places: between counting and admitting nobody else takes one.
WITH room AS (
    SELECT GREATEST($1 - count(*), 0) AS places FROM sandbox WHERE status IN ('requested', 'starting', 'ready')
), next AS (
    SELECT id FROM sandbox WHERE status = 'queued' ORDER BY requested_at, id LIMIT (SELECT places FROM room)
), admitted AS (
    UPDATE sandbox AS s SET status = 'requested', updated_at = $2 FROM next WHERE s.id = next.id RETURNING s.*
)
SELECT {sandbox} FROM admitted AS s ORDER BY s.requested_at, s.id
