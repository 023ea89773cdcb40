-- The transcript position belongs to the volume, and the volume to its host. What was removed begins anew.
UPDATE sandbox AS s
SET status = $2, start = start + 1, first_start = CASE WHEN status = 'removed' THEN start + 1 ELSE first_start END,
    error = NULL, cause = $3, attempt = $4, host = $5,
    transcript_cursor = CASE WHEN host = $5 THEN transcript_cursor END,
    boot_id = CASE WHEN host = $5 THEN boot_id END,
    wake_at = NULL, wake_for = NULL, retry_at = NULL, requested_at = $6, updated_at = $6
WHERE id = $1
RETURNING {sandbox}
