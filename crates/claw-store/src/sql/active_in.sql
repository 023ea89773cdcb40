-- Whom the owner of a partition has to look after. Their waiting rows are looked up person by person: the
-- partition is a small part of everybody, and everybody's backlog may be long.
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
  AND (s.status = 'ready'
       OR waiting.position IS NOT NULL
       OR EXISTS (SELECT FROM message WHERE user_id = "user".id AND status = 'held'))
ORDER BY waiting.position NULLS LAST, "user".id
