-- order_start
-- An operator's order: the next start, and no pause for earlier failures.
UPDATE sandbox AS s
SET status = $2, start = start + 1, error = NULL, endpoint = NULL, failures = 0, retry_at = NULL, wake_at = NULL,
    wake_for = NULL, updated_at = $3
WHERE id = $1
RETURNING id
