-- Starts these sleepers, unless something has changed, and the failed ones that are to be tried again, while there are
-- places: due jobs first, and heartbeats last. Nobody waits for a heartbeat, so none starts while people wait in line. The
-- caller holds the capacity lock.
WITH free AS (
    SELECT GREATEST($1 - count(*), 0) AS places FROM sandbox WHERE status = ANY ($4::text[])
), next AS (
    SELECT id, row_number() OVER (
               ORDER BY {is_job} DESC, wake_for IS NOT DISTINCT FROM 'heartbeat', COALESCE(wake_at, retry_at), id) AS place
    FROM sandbox
    WHERE {due} AND ({is_job} OR status = 'failed' OR NOT EXISTS (SELECT FROM sandbox WHERE {waiting}))
    ORDER BY place LIMIT (SELECT places FROM free)
), woken AS (
    UPDATE sandbox AS s
    SET status = 'requested', start = start + 1, error = NULL, wake_at = NULL, retry_at = NULL,
        -- Counted by the day (UTC).
        job_wakes = CASE WHEN job_wakes_since < date_trunc('day', $2::timestamptz, 'UTC') THEN 0 ELSE job_wakes END
            + CASE WHEN status = 'asleep' AND wake_for = 'job' THEN 1 ELSE 0 END,
        job_wakes_since = GREATEST(job_wakes_since, date_trunc('day', $2::timestamptz, 'UTC')),
        updated_at = $2
    FROM next WHERE s.id = next.id
    RETURNING s.*, next.place
)
SELECT {sandbox} FROM woken AS s ORDER BY s.place
