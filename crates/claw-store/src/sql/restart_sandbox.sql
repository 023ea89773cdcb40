UPDATE sandbox AS s
SET status = $2, start = start + 1, error = NULL, cause = $3, attempt = $4, host = $5, model = $6,
    requested_at = $7, updated_at = $7
WHERE id = $1
RETURNING {sandbox}
