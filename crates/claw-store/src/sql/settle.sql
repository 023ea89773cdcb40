-- Closes what was answered, keeps what was said, and notes how far the transcript was read.
WITH home AS (
    SELECT id FROM sandbox WHERE user_id = $1
), answered AS (
    -- A row comes back only from the call that completes it. A second call at the same moment waits for
    -- the row, finds it complete, and gets none.
    UPDATE message
    SET status = 'complete', sandbox_id = COALESCE(sandbox_id, (SELECT id FROM home)), completed_at = $15
    WHERE id = ANY ($2::uuid[]) AND user_id = $1 AND status = 'received'
    RETURNING id
), met AS (
    UPDATE "user" SET first_answered_at = $15
    WHERE id = $1 AND first_answered_at IS NULL AND EXISTS (SELECT FROM answered)
), reply AS (
    SELECT *
    FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::timestamptz[])
         WITH ORDINALITY AS reply (id, content, source, run_id, cause, status, held_until, place)
), kept AS (
    -- Positions are dealt out after the sort, so replies keep their order. Known ones stay where they are.
    INSERT INTO message (id, user_id, sandbox_id, role, status, source, kind, content, run_id, cause,
                         held_until, created_at, completed_at)
    SELECT id, $1, (SELECT id FROM home), 'assistant', status, source, 'text', content, NULLIF(run_id, ''),
           NULLIF(cause, '00000000-0000-0000-0000-000000000000'),
           CASE WHEN status = 'held' THEN held_until END, $15,
           CASE WHEN status <> 'held' THEN $15 END
    FROM reply
    WHERE EXISTS (SELECT FROM "user" WHERE id = $1)
    ORDER BY place
    ON CONFLICT (id) DO NOTHING
), said_after_all AS (
    -- Somebody who read the transcript again decided otherwise, and has published it by now.
    UPDATE message
    SET status = 'complete', completed_at = $15
    FROM reply
    WHERE message.id = reply.id AND reply.status = 'complete'
      AND message.user_id = $1 AND message.status IN ('held', 'withheld')
), moved AS (
    -- The cursor is opaque: what is further cannot be told from what is not. It moves only from where the
    -- caller saw it, so one who lost the person to another does not take it back.
    UPDATE sandbox
    SET transcript_cursor = $11, boot_id = $12, updated_at = $15
    WHERE id = $10 AND user_id = $1
      AND transcript_cursor IS NOT DISTINCT FROM $13 AND boot_id IS NOT DISTINCT FROM $14
    RETURNING transcript_cursor, boot_id
)
SELECT EXISTS (SELECT FROM "user" WHERE id = $1) AS known,
       COALESCE(moved.transcript_cursor, sandbox.transcript_cursor) AS transcript_cursor,
       COALESCE(moved.boot_id, sandbox.boot_id) AS boot_id
FROM (VALUES (1)) AS always
LEFT JOIN sandbox ON sandbox.id = $10 AND sandbox.user_id = $1
LEFT JOIN moved ON true
