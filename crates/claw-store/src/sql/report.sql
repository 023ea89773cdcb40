-- Moves a delivery forward to the state that the channel reports. The row is found by our id, which Meta returns
-- with each status, else by WhatsApp's. An UPDATE that waited for a lock reads the row again, so GREATEST compares
-- with the latest state, not with the snapshot's.
UPDATE delivery
SET state = GREATEST(state, $3),
    error_code = CASE WHEN state < $3 AND $4::bigint IS NOT NULL THEN $4 ELSE error_code END,
    wamid = COALESCE(wamid, $2),
    updated_at = GREATEST(updated_at, $5)
WHERE id = COALESCE(
    (SELECT known.id FROM delivery AS known WHERE known.id = $1),
    (SELECT sent.id FROM delivery AS sent WHERE sent.wamid = $2 ORDER BY sent.created_at LIMIT 1))
RETURNING id, reply_id, user_id, state
