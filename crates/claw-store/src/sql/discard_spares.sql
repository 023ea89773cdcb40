-- discard_spares
WITH spare AS MATERIALIZED (
    SELECT id FROM sandbox
    WHERE user_id IS NULL AND host = $1 AND (engine IS NULL OR engine = $2) AND status = ANY ($5::text[])
    ORDER BY status = 'ready', requested_at, id LIMIT $3
    -- One that is being claimed is spare no longer.
    FOR UPDATE SKIP LOCKED
)
UPDATE sandbox AS s
SET status = 'removing', endpoint = NULL, updated_at = $4
FROM spare
WHERE s.id = spare.id
RETURNING {sandbox}
