-- A ready sandbox sleeps, unless somebody needs it, or its row has changed since it was seen to be idle: an answer to a
-- message may come with a new reminder. Its port stays reserved until its container is gone. A message that
-- is stored at this moment may not be seen: the sandbox then stops, and starts again for it.
UPDATE sandbox AS s
SET status = 'asleep', endpoint = NULL, wake_at = $3, wake_for = $4, failures = 0, updated_at = $5
WHERE id = $1 AND start = $2 AND status = 'ready' AND policy <> 'always_on' AND updated_at <= $6
  AND NOT EXISTS (SELECT FROM message WHERE message.user_id = s.user_id AND message.status = 'received')
  AND NOT EXISTS (SELECT FROM "call" WHERE "call".user_id = s.user_id AND ended_at IS NULL)
RETURNING id
