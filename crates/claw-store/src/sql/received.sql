-- The common end of receive.sql and receive_voice.sql, which number these parameters alike: $1 user, $5 message,
-- $11 sequence, $12 whether it is a replay.
), reopened AS (
    -- Only a replay reopens a message that was given up.
    UPDATE message SET status = 'received', burst = NULL, sequence = $11
    WHERE id = $5 AND user_id = $1 AND status = 'given_up' AND $12
    RETURNING id
)
SELECT
    EXISTS (SELECT FROM "user" WHERE id = $1) AS known,
    EXISTS (SELECT FROM access_list WHERE user_id = $1 AND list = 'block') AS blocked,
    EXISTS (SELECT FROM taken) AS fresh,
    EXISTS (SELECT FROM message WHERE id = $5 AND user_id = $1 AND status IN ('complete', 'given_up'))
        AND NOT EXISTS (SELECT FROM reopened) AS complete,
    {sandbox}
FROM (VALUES (1)) AS always
LEFT JOIN sandbox AS s ON s.user_id = $1
