-- The users whom the owner of a partition has to serve. The waiting message is looked up user by user: the
-- partition has few of all users, but there may be many waiting messages of all users.
SELECT "user".id AS user_id, {sandbox}
FROM "user"
LEFT JOIN sandbox AS s ON s.user_id = "user".id
LEFT JOIN LATERAL (
    SELECT position FROM message
    WHERE user_id = "user".id AND status = 'received'
    ORDER BY position
    LIMIT 1
) AS waiting ON true
WHERE "user".partition = $1
  AND NOT EXISTS (SELECT FROM access_list WHERE user_id = "user".id AND list = 'block')
  AND (s.status = ANY ($2::text[])
       OR waiting.position IS NOT NULL
       -- Has to be told.
       OR "user".suspended_at IS NOT NULL
       OR EXISTS (SELECT FROM message WHERE user_id = "user".id AND status = 'held'))
ORDER BY waiting.position NULLS LAST, "user".id
