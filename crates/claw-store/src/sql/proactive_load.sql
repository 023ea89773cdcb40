-- The proactive messages that were stored since a moment, and those that are held since any time.
SELECT count(*) FILTER (WHERE status = 'complete') AS sent,
       count(*) AS stored,
       COALESCE(sum(bytes), 0)::bigint AS stored_bytes
FROM (
    SELECT status, octet_length(content) AS bytes
    FROM message
    WHERE user_id = $1 AND source IN ('heartbeat', 'cron') AND completed_at >= $2
    UNION ALL
    SELECT status, octet_length(content)
    FROM message
    WHERE user_id = $1 AND status = 'held'
) AS recent
