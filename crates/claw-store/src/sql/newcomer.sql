-- What decides whether a user who has no row may come in: $1 the user, $2 the invite that their message names or null,
-- $3 the time.
SELECT
    EXISTS (SELECT FROM "user" WHERE id = $1) AS is_known,
    (SELECT list FROM access_list WHERE user_id = $1) AS list,
    EXISTS (SELECT FROM invite WHERE id = $2 AND used < uses AND expires_at > $3) AS is_invited,
    c.hour, c.in_hour, c.day, c.in_day,
    r.message_id, r.is_told, r.wrong_codes, r.wait_until
FROM newcomer_count AS c
LEFT JOIN refusal AS r ON r.user_id = $1 AND r.forget_at > $3
