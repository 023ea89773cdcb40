-- As suspend.sql, for everybody.
UPDATE suspension
SET suspended_at = COALESCE(suspension.suspended_at, $1), suspension_reason = $2,
    last_suspended_at = CASE WHEN suspension.suspended_at IS NULL THEN $1 ELSE suspension.last_suspended_at END
FROM (SELECT only_row, suspended_at FROM suspension FOR UPDATE) AS before
WHERE suspension.only_row = before.only_row
RETURNING before.suspended_at IS NOT NULL AS was_suspended, (SELECT count(*) FROM "user") AS users
