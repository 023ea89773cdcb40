-- Completes messages, stores replies and moves the transcript cursor.
WITH own AS (
    SELECT id FROM sandbox WHERE user_id = $1
), answered AS (
    -- Returns a row only in the call that completes it. A concurrent call waits for the row, finds it complete
    -- and returns none.
    UPDATE message
    SET status = 'complete', sandbox_id = COALESCE(sandbox_id, (SELECT id FROM own)), completed_at = $15
    WHERE id = ANY ($2::uuid[]) AND user_id = $1 AND status = 'received'
    RETURNING id
), first_answer AS (
    UPDATE "user" SET first_answered_at = $15
    WHERE id = $1 AND first_answered_at IS NULL AND EXISTS (SELECT FROM answered)
), reply AS (
    SELECT *
    FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::timestamptz[])
         WITH ORDINALITY AS reply (id, content, source, run_id, cause, status, held_until, number)
), inserted AS (
    -- Positions are assigned after the sort, so the replies keep their order. A stored reply does not change.
    INSERT INTO message (id, user_id, sandbox_id, role, status, source, kind, content, run_id, cause,
                         held_until, created_at, completed_at)
    SELECT id, $1, (SELECT id FROM own), 'assistant', status, source, 'text', content, NULLIF(run_id, ''),
           NULLIF(cause, '00000000-0000-0000-0000-000000000000'),
           CASE WHEN status = 'held' THEN held_until END, $15,
           CASE WHEN status <> 'held' THEN $15 END
    FROM reply
    WHERE EXISTS (SELECT FROM "user" WHERE id = $1)
    ORDER BY number
    ON CONFLICT (id) DO NOTHING
), published_later AS (
    -- Another reading of the transcript decided to publish it, and has done so.
    UPDATE message
    SET status = 'complete', completed_at = $15
    FROM reply
    WHERE message.id = reply.id AND reply.status = 'complete'
      AND message.user_id = $1 AND message.status IN ('held', 'withheld')
), moved AS (
    -- The cursor is opaque, so two cursors cannot be compared. It moves only from the value that the caller
    -- read, so that a replica that lost the user to another does not move it back.
    UPDATE sandbox
    SET transcript_cursor = $11, boot_id = $12, updated_at = $15
    WHERE id = $10 AND user_id = $1
      AND transcript_cursor IS NOT DISTINCT FROM $13 AND boot_id IS NOT DISTINCT FROM $14
    RETURNING transcript_cursor, boot_id
), noted AS (
    -- A report that the sandbox is idle may be older than the answer (`fall_asleep`).
    UPDATE sandbox SET updated_at = $15
    WHERE user_id = $1 AND status = 'ready' AND $10 IS NULL AND EXISTS (SELECT FROM answered)
)
SELECT EXISTS (SELECT FROM "user" WHERE id = $1) AS known,
       COALESCE(moved.transcript_cursor, sandbox.transcript_cursor) AS transcript_cursor,
       COALESCE(moved.boot_id, sandbox.boot_id) AS boot_id
FROM (VALUES (1)) AS always
LEFT JOIN sandbox ON sandbox.id = $10 AND sandbox.user_id = $1
LEFT JOIN moved ON true
