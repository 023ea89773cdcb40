-- Stores one event of a phone call; continues in received.sql. All parts of the statement see the same snapshot,
-- taken before any of them runs.
WITH newcomer AS (
    -- Only a welcomed caller ($8) becomes a user. A call is not a message: it does not open WhatsApp's 24 hours.
    INSERT INTO "user" (id, phone, created_at, template_asked_at)
    SELECT $1, $2, $10, CASE WHEN $14 THEN $10 END
    WHERE $8 AND NOT EXISTS (SELECT FROM "user" WHERE id = $1)
      AND NOT EXISTS (SELECT FROM access_list WHERE user_id = $1 AND list = 'block')
    ON CONFLICT DO NOTHING
), asked AS (
    -- Never updates the row inserted above, which is not in the snapshot.
    UPDATE "user" SET template_asked_at = $10 WHERE id = $1 AND $14 AND template_asked_at IS NULL
), taken AS (
    -- Returns a row only in the call that inserted it: this is `fresh`.
    INSERT INTO message (id, user_id, sandbox_id, role, status, source, kind, content, call_id, turn, sent_at,
                         created_at, sequence)
    SELECT $5, $1, (SELECT id FROM sandbox WHERE user_id = $1),
           'user', CASE WHEN $13 THEN 'received' ELSE 'complete' END, 'voice', $6, $7, $3, $4, $9, $10, $11
    WHERE ($8 OR EXISTS (SELECT FROM "user" WHERE id = $1))
      AND NOT EXISTS (SELECT FROM access_list WHERE user_id = $1 AND list = 'block')
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), counted AS (
    -- Counts each turn once, in any order and however often it is repeated.
    UPDATE "call"
    SET turns = turns + 1, last_turn = GREATEST(last_turn, $4), last_spoken_at = GREATEST(last_spoken_at, $9)
    WHERE id = $3 AND $6 = 'speech' AND EXISTS (SELECT FROM taken)
