-- The caller holds the capacity lock. A reserved port does not change, unless it is the taken port $7, so a repetition
-- returns the same one.
UPDATE sandbox AS s
SET port = COALESCE(NULLIF(s.port, $7::integer), (
        SELECT candidate
        FROM generate_series($3::integer, $4::integer) AS candidate
        WHERE NOT EXISTS (SELECT FROM sandbox AS other WHERE other.host = s.host AND other.port = candidate)
        ORDER BY candidate
        LIMIT 1)),
    updated_at = $5
WHERE s.id = $1 AND s.start = $2 AND s.status = ANY ($6::text[])
RETURNING s.port
