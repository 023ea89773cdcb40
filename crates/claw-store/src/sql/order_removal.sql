-- order_removal
-- An order for an earlier start is about the same volume, unless the sandbox was removed since: then it began anew with
-- first_start, and the order has been carried out.
UPDATE sandbox
SET status = 'removing', endpoint = NULL, error = NULL, failures = 0, retry_at = NULL, wake_at = NULL, wake_for = NULL,
    host = $3, updated_at = $5
WHERE id = $1 AND $2 >= first_start AND (engine IS NULL OR engine = $4) AND status = ANY ($6::text[])
RETURNING id
