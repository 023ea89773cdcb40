-- How every message is taken, whichever way it came: the end of receive.sql and of receive_voice.sql, which give
-- the same numbers to $1 user, $5 message, $11 sequence, $12 limit of the count, $14 whether it is a replay.
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
    EXISTS (SELECT FROM "user" WHERE id = $1) AS known,
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
