-- Stores one inbound message of a user who is known and not blocked; continues in received.sql. All parts of the
-- statement see the same snapshot, taken before any of them runs.
WITH sender AS (
    SELECT id FROM "user"
    WHERE id = $1 AND NOT EXISTS (SELECT FROM access_list WHERE user_id = $1 AND list = 'block')
), known AS (
    -- A repeated or late message changes nothing: `last_inbound_at` only grows, and an old name does not replace a
    -- newer one.
    UPDATE "user"
    SET last_inbound_at = $8, name = COALESCE($3, name), wa_user_id = COALESCE($2, wa_user_id)
    WHERE id = (SELECT id FROM sender) AND (last_inbound_at IS NULL OR last_inbound_at < $8)
), taken AS (
    -- Returns a row only in the call that inserted it: this is `fresh`.
    INSERT INTO message (id, user_id, sandbox_id, role, status, source, kind, content, wamid, sent_at, created_at, sequence)
    SELECT $5, id, (SELECT id FROM sandbox WHERE user_id = $1),
           'user', CASE WHEN $10 THEN 'received' ELSE 'complete' END, 'whatsapp', $6, $7, $4, $8, $9, $11
    FROM sender
    ON CONFLICT (id) DO NOTHING
    RETURNING id
