-- Returns whether the user was suspended, and no row for an unknown user.
UPDATE "user"
SET suspended_at = NULL, suspension_reason = NULL
FROM (SELECT id, suspended_at FROM "user" WHERE id = $1 FOR UPDATE) AS before
WHERE "user".id = before.id
RETURNING before.suspended_at IS NOT NULL AS was_suspended
