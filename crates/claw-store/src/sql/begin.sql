-- Creates the deliveries of a reply's pieces and claims the first if $5, unless another call has begun before.
WITH before AS (
    SELECT * FROM delivery WHERE id = ANY ($3::uuid[]) AND user_id = $1
), made AS (
    -- Only a call that finds no row may claim: then no other call can be sending. Two concurrent calls both
    -- find none, but one of them waits here for the other's rows, conflicts with them, and inserts nothing.
    -- It returns too few rows, because the other's are newer than its snapshot, and must be repeated.
    INSERT INTO delivery (id, reply_id, user_id, piece, state, attempts, sending_since, created_at, updated_at)
    SELECT wanted.id, $2, "user".id, wanted.number - 1,
           CASE WHEN claim.first THEN 1 ELSE 0 END,
           CASE WHEN claim.first THEN 1 ELSE 0 END,
           CASE WHEN claim.first THEN $4 END,
           $4, $4
    FROM "user"
    CROSS JOIN unnest($3::uuid[]) WITH ORDINALITY AS wanted (id, number)
    CROSS JOIN LATERAL (SELECT $5 AND wanted.number = 1 AND NOT EXISTS (SELECT FROM before) AS first) AS claim
    WHERE "user".id = $1 AND ("user".last_inbound_at IS NOT NULL OR "user".template_asked_at IS NOT NULL)
    ORDER BY wanted.number
    ON CONFLICT (id) DO NOTHING
    RETURNING *
)
SELECT "user".phone, "user".wa_user_id, "user".last_inbound_at,
       "user".last_inbound_at IS NOT NULL OR "user".template_asked_at IS NOT NULL AS has_chat, {delivery},
       COALESCE(d.fresh AND d.state = 1, false) AS claimed
FROM "user"
LEFT JOIN (SELECT *, false AS fresh FROM before UNION ALL SELECT *, true FROM made) AS d ON true
WHERE "user".id = $1
ORDER BY d.piece
