-- reserve_port
-- The caller holds the capacity lock. A reserved port does not change, unless it is one of the refused ports $7, so a
-- repetition returns the same one.
UPDATE sandbox AS s
SET port = CASE WHEN s.port IS NOT NULL AND s.port <> ALL ($7::integer[]) THEN s.port ELSE (
        SELECT candidate
        FROM generate_series($3::integer, $4::integer) AS candidate
        WHERE candidate <> ALL ($7::integer[])
          AND NOT EXISTS (SELECT FROM sandbox AS other WHERE other.host = s.host AND other.port = candidate)
        ORDER BY candidate
        LIMIT 1) END,
    updated_at = $5
WHERE s.id = $1 AND s.start = $2 AND s.status = ANY ($6::text[])
RETURNING s.port
