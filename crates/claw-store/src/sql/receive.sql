-- Takes one inbound message. Parts of one statement see the same snapshot, from before all of them.
WITH newcomer AS (
    -- Two first messages at once both find nobody. Without a named target every unique index is an arbiter,
    -- so they cannot collide on the phone number instead of the id. A conflict does nothing.
    INSERT INTO "user" (id, phone, wa_user_id, name, created_at, last_inbound_at)
    SELECT $1, $2, $3, $4, $10, $9
    WHERE NOT EXISTS (SELECT FROM "user" WHERE id = $1)
    ON CONFLICT DO NOTHING
), known AS (
    -- Never meets the row inserted above, which is not in the snapshot. Repetitions and stragglers
    -- write nothing: `last_inbound_at` only grows, and an old name does not replace a newer one.
    UPDATE "user"
    SET last_inbound_at = $9, name = COALESCE($4, name), wa_user_id = COALESCE($3, wa_user_id)
    WHERE id = $1 AND last_inbound_at < $9
), taken AS (
    -- A row comes back only from the call that inserted it: that is what `fresh` means.
    INSERT INTO message (id, user_id, sandbox_id, role, status, source, kind, content, wamid, sent_at, created_at, sequence)
    VALUES ($5, $1, (SELECT id FROM sandbox WHERE user_id = $1),
            'user', CASE WHEN $13 THEN 'received' ELSE 'complete' END, 'whatsapp', $6, $7, $8, $9, $10, $11)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), reopened AS (
    -- Only a replay tries again what was given up.
    UPDATE message SET status = 'received', burst = NULL, sequence = $11
    WHERE id = $5 AND user_id = $1 AND status = 'given_up' AND $14
    RETURNING id
), waiting AS (
    -- The limit keeps a long backlog from making each further message slower.
    SELECT FROM message WHERE user_id = $1 AND status = 'received' LIMIT $12
)
SELECT
    EXISTS (SELECT FROM taken) AS fresh,
    EXISTS (SELECT FROM message WHERE id = $5 AND user_id = $1 AND status IN ('complete', 'given_up'))
        AND NOT EXISTS (SELECT FROM reopened) AS complete,
    -- Remembered in the person's row: looking through their messages would take longer with each of them.
    NOT EXISTS (SELECT FROM "user" WHERE id = $1 AND first_answered_at IS NOT NULL) AS first_contact,
    -- The row just taken is not in the snapshot and counts extra.
    LEAST((SELECT count(*) FROM waiting) + (SELECT count(*) FROM taken), $12) AS waiting,
    {sandbox}
FROM (VALUES (1)) AS always
LEFT JOIN sandbox AS s ON s.user_id = $1
