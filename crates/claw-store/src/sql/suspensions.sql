-- Every suspension in force; the one of everybody has no user.
SELECT NULL::uuid AS user_id, suspended_at, suspension_reason FROM suspension WHERE suspended_at IS NOT NULL
UNION ALL
SELECT id, suspended_at, suspension_reason FROM "user" WHERE suspended_at IS NOT NULL
