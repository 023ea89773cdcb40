-- As resume.sql, for everybody; users who are suspended themselves stay so.
UPDATE suspension
SET suspended_at = NULL, suspension_reason = NULL
FROM (SELECT only_row, suspended_at FROM suspension FOR UPDATE) AS before
WHERE suspension.only_row = before.only_row
RETURNING before.suspended_at IS NOT NULL AS was_suspended,
          (SELECT count(*) FROM "user" WHERE suspended_at IS NULL) AS users
