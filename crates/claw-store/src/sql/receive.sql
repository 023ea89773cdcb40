-- Stores one inbound message; continues in received.sql. All parts of the statement see the same snapshot, taken
-- before any of them runs.
WITH newcomer AS (
    -- Two concurrent first messages both find no user. Without a conflict target, a conflict on any unique
    -- index (id or phone) does nothing.
    INSERT INTO "user" (id, phone, wa_user_id, name, created_at, last_inbound_at)
    SELECT $1, $2, $3, $4, $10, $9
    WHERE NOT EXISTS (SELECT FROM "user" WHERE id = $1)
    ON CONFLICT DO NOTHING
), known AS (
    -- Never updates the row inserted above, which is not in the snapshot. A repeated or late message changes
    -- nothing: `last_inbound_at` only grows, and an old name does not replace a newer one.
    UPDATE "user"
    SET last_inbound_at = $9, name = COALESCE($4, name), wa_user_id = COALESCE($3, wa_user_id)
    WHERE id = $1 AND (last_inbound_at IS NULL OR last_inbound_at < $9)
), taken AS (
    -- Returns a row only in the call that inserted it: this is `fresh`.
    INSERT INTO message (id, user_id, sandbox_id, role, status, source, kind, content, wamid, sent_at, created_at, sequence)
    VALUES ($5, $1, (SELECT id FROM sandbox WHERE user_id = $1),
            'user', CASE WHEN $12 THEN 'received' ELSE 'complete' END, 'whatsapp', $6, $7, $8, $9, $10, $11)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
