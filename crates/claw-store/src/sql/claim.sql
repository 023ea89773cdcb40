-- claim
-- The oldest spare sandbox that is ready becomes the user's. Concurrent claims skip each other's rows. A concurrent claim
-- or request of the same user violates the unique user_id.
WITH spare AS MATERIALIZED (
    SELECT id FROM sandbox
    WHERE user_id IS NULL AND status = 'ready' AND host = $5 AND engine = $6 AND model = $7
      AND model_key_state = 'enabled'
      AND NOT EXISTS (SELECT FROM sandbox WHERE user_id = $1)
      AND NOT {suspended}
    ORDER BY requested_at, id LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE sandbox AS s
SET user_id = $1, cause = $2, attempt = $3, requested_at = $4, updated_at = $4
FROM spare
WHERE s.id = spare.id
RETURNING {sandbox}
