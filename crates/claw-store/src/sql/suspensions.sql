-- Every suspension in force; the one of everybody has no user. A user who is on the block list counts as suspended, and
-- has one row only.
SELECT NULL::uuid AS user_id, suspended_at, suspension_reason, false AS is_block
FROM suspension WHERE suspended_at IS NOT NULL
UNION ALL
SELECT id, suspended_at, suspension_reason, false FROM "user"
WHERE suspended_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM access_list WHERE access_list.user_id = "user".id AND list = 'block')
UNION ALL
SELECT access_list.user_id, access_list.since, 'blocked', true FROM access_list
WHERE list = 'block' AND EXISTS (SELECT FROM "user" WHERE "user".id = access_list.user_id)
