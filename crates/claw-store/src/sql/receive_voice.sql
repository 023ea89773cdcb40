-- Takes one moment of a phone call; goes on in received.sql. Parts of one statement see the same snapshot, from
-- before all of them.
WITH newcomer AS (
    -- Only a number that is vouched for makes a person ($8). It was no message: WhatsApp's 24 hours stay closed.
    INSERT INTO "user" (id, phone, created_at)
    SELECT $1, $2, $10
    WHERE $8 AND NOT EXISTS (SELECT FROM "user" WHERE id = $1)
    ON CONFLICT DO NOTHING
), taken AS (
    -- A row comes back only from the call that inserted it: that is what `fresh` means.
    INSERT INTO message (id, user_id, sandbox_id, role, status, source, kind, content, call_id, turn, sent_at,
                         created_at, sequence)
    SELECT $5, $1, (SELECT id FROM sandbox WHERE user_id = $1),
           'user', CASE WHEN $13 THEN 'received' ELSE 'complete' END, 'voice', $6, $7, $3, $4, $9, $10, $11
    WHERE $8 OR EXISTS (SELECT FROM "user" WHERE id = $1)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), counted AS (
    -- Once for each turn, in whatever order they come and however often.
    UPDATE "call"
    SET turns = turns + 1, last_turn = GREATEST(last_turn, $4), last_spoken_at = GREATEST(last_spoken_at, $9)
    WHERE id = $3 AND $6 = 'speech' AND EXISTS (SELECT FROM taken)
