-- awaited
-- The sandboxes that have been ready before, are to be started, and for which somebody waits: in the chat or on the phone.
SELECT id FROM sandbox AS s
WHERE host = $1 AND ($2::uuid IS NULL OR id = $2) AND start > 1 AND status = ANY ($3::text[])
  AND (EXISTS (SELECT FROM message WHERE message.user_id = s.user_id AND message.status = 'received')
       OR EXISTS (SELECT FROM "call" WHERE "call".user_id = s.user_id AND ended_at IS NULL))
