-- next_retry
SELECT (
    SELECT retry_at FROM sandbox
    WHERE host = $1 AND (engine IS NULL OR engine = $2) AND status IN ('failed', 'requested') AND retry_at > $3
      AND NOT {suspended}
    ORDER BY retry_at LIMIT 1
) AS next
