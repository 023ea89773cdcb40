-- sleepers
-- However many heartbeats are overdue, they keep no job out.
SELECT id, wake_at FROM (
    SELECT id, wake_at FROM sandbox
    WHERE host = $1 AND (engine IS NULL OR engine = $2) AND status = 'asleep' AND wake_at <= $3 AND NOT {suspended}
    ORDER BY wake_for = 'job' DESC NULLS LAST, wake_at, id LIMIT $4
) AS chosen
ORDER BY wake_at, id
