-- Writes down the pieces of a reply and claims the first, unless somebody has begun before.
WITH before AS (
    SELECT * FROM delivery WHERE id = ANY ($3::uuid[]) AND user_id = $1
), made AS (
    -- Only who finds nothing at all may claim: then nobody else can be sending. Two at once both find
    -- nothing, but one of them waits here for the other's rows, conflicts, and gets none back. It sees
    -- too few rows below (the other's are newer than its snapshot) and has to ask again.
    INSERT INTO delivery (id, reply_id, user_id, piece, state, attempts, sending_since, created_at, updated_at)
    SELECT wanted.id, $2, "user".id, wanted.place - 1,
           CASE WHEN claim.first THEN 1 ELSE 0 END,
           CASE WHEN claim.first THEN 1 ELSE 0 END,
           CASE WHEN claim.first THEN $4 END,
           $4, $4
    FROM "user"
    CROSS JOIN unnest($3::uuid[]) WITH ORDINALITY AS wanted (id, place)
    CROSS JOIN LATERAL (SELECT wanted.place = 1 AND NOT EXISTS (SELECT FROM before) AS first) AS claim
    WHERE "user".id = $1
    ORDER BY wanted.place
    ON CONFLICT (id) DO NOTHING
    RETURNING *
)
SELECT "user".phone, "user".wa_user_id, "user".last_inbound_at, {delivery},
       COALESCE(d.fresh AND d.state = 1, false) AS claimed
FROM "user"
LEFT JOIN (SELECT *, false AS fresh FROM before UNION ALL SELECT *, true FROM made) AS d ON true
WHERE "user".id = $1
ORDER BY d.piece
