-- Creates the deliveries of a reply's pieces and claims the first if $5, unless another call has begun before, or the
-- user is suspended and $6 does not say that the reply is sent nevertheless.
WITH recipient AS (
    -- Somebody who was refused has no row in "user", and is told so.
    SELECT id, phone, wa_user_id, last_inbound_at,
           last_inbound_at IS NOT NULL OR template_asked_at IS NOT NULL AS has_chat
    FROM "user" WHERE id = $1
    UNION ALL
    SELECT user_id, phone, wa_user_id, written_at, true FROM refusal
    WHERE user_id = $1 AND NOT EXISTS (SELECT FROM "user" WHERE id = $1)
), allowed AS (
    SELECT * FROM recipient WHERE NOT EXISTS (SELECT FROM access_list WHERE user_id = $1 AND list = 'block')
), before AS (
    SELECT * FROM delivery WHERE id = ANY ($3::uuid[]) AND user_id = $1
), hold AS (
    SELECT NOT $6 AND (EXISTS (SELECT FROM suspension WHERE suspended_at IS NOT NULL)
                       OR EXISTS (SELECT FROM "user" WHERE id = $1 AND suspended_at IS NOT NULL)) AS suspended
), made AS (
    -- Only a call that finds no row may claim: then no other call can be sending. Two concurrent calls both
    -- find none, but one of them waits here for the other's rows, conflicts with them, and inserts nothing.
    -- It returns too few rows, because the other's are newer than its snapshot, and must be repeated.
    INSERT INTO delivery (id, reply_id, user_id, piece, state, attempts, sending_since, created_at, updated_at)
    SELECT wanted.id, $2, allowed.id, wanted.number - 1,
           CASE WHEN claim.first THEN 1 ELSE 0 END,
           CASE WHEN claim.first THEN 1 ELSE 0 END,
           CASE WHEN claim.first THEN $4 END,
           $4, $4
    FROM allowed
    CROSS JOIN unnest($3::uuid[]) WITH ORDINALITY AS wanted (id, number)
    CROSS JOIN LATERAL (
        SELECT $5 AND wanted.number = 1 AND NOT EXISTS (SELECT FROM before)
               AND NOT (SELECT suspended FROM hold) AS first) AS claim
    WHERE allowed.has_chat
    ORDER BY wanted.number
    ON CONFLICT (id) DO NOTHING
    RETURNING *
)
SELECT allowed.phone, allowed.wa_user_id, allowed.last_inbound_at, allowed.has_chat, {delivery},
       COALESCE(d.fresh AND d.state = 1, false) AS claimed, (SELECT suspended FROM hold) AS suspended
FROM allowed
LEFT JOIN (SELECT *, false AS fresh FROM before UNION ALL SELECT *, true FROM made) AS d ON true
ORDER BY d.piece
