-- least_used
SELECT s.id, s.user_id, s.start
FROM sandbox AS s JOIN "user" ON "user".id = s.user_id
WHERE s.host = $1 AND s.engine = $2 AND s.status = 'ready' AND s.policy <> 'always_on' AND s.id <> ALL ($3::uuid[])
  -- It was answered, or became ready, before.
  AND s.updated_at <= $5
  AND NOT EXISTS (SELECT FROM message WHERE message.user_id = s.user_id AND message.status = 'received')
  AND NOT EXISTS (SELECT FROM "call" WHERE "call".user_id = s.user_id AND ended_at IS NULL)
  -- Nothing is decided about suspended users' sandboxes.
  AND NOT {suspended}
ORDER BY GREATEST("user".last_inbound_at, (SELECT max(ended_at) FROM "call" WHERE "call".user_id = s.user_id)) NULLS FIRST,
         s.id
LIMIT $4
