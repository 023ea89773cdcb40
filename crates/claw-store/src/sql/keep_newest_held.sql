-- Withholds all of a user's held replies except the newest.
UPDATE message
SET status = 'withheld', completed_at = $4
FROM (
    SELECT id, row_number() OVER newest_first AS number, sum(octet_length(content)) OVER newest_first AS bytes
    FROM message
    WHERE user_id = $1 AND status = 'held'
    WINDOW newest_first AS (ORDER BY position DESC)
) AS held
WHERE message.id = held.id AND message.status = 'held' AND (held.number > $2 OR held.bytes > $3)
RETURNING message.id
