-- A second suspension changes only the reason. Returns whether the user was suspended before, and no row for an unknown
-- user.
UPDATE "user"
SET suspended_at = COALESCE("user".suspended_at, $2), suspension_reason = $3,
    last_suspended_at = CASE WHEN "user".suspended_at IS NULL THEN $2 ELSE "user".last_suspended_at END
FROM (SELECT id, suspended_at FROM "user" WHERE id = $1 FOR UPDATE) AS before
WHERE "user".id = before.id
RETURNING before.suspended_at IS NOT NULL AS was_suspended
