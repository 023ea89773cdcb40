-- Closes one inbound message with what was said to it.
WITH home AS (
    SELECT id FROM sandbox WHERE user_id = $1
), answered AS (
    -- A row comes back only from the call that completes it. A second call at the same moment waits for
    -- the row, finds it complete, and gets none.
    UPDATE message
    SET status = 'complete', sandbox_id = COALESCE(sandbox_id, (SELECT id FROM home)), completed_at = $10
    WHERE id = $2 AND user_id = $1 AND status = 'received'
    RETURNING id
), met AS (
    UPDATE "user" SET first_answered_at = $10
    WHERE id = $1 AND first_answered_at IS NULL AND EXISTS (SELECT FROM answered)
), said AS (
    -- Positions are dealt out after the sort, so replies keep their order. Replies of a repetition that
    -- found more than the first call did are kept too; known ones are left as they are.
    INSERT INTO message (id, user_id, sandbox_id, role, status, source, kind, content, run_id, cause, created_at, completed_at)
    SELECT reply.id, $1, (SELECT id FROM home), 'assistant', 'complete', reply.source, 'text', reply.content,
           NULLIF(reply.run_id, ''), $2, $10, $10
    FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[])
         WITH ORDINALITY AS reply (id, content, source, run_id, place)
    WHERE EXISTS (SELECT FROM message WHERE id = $2 AND user_id = $1)
    ORDER BY reply.place
    ON CONFLICT (id) DO NOTHING
), moved AS (
    -- The cursor is opaque and cannot be compared. It moves only together with `answered`, so a late
    -- repetition does not take it back.
    UPDATE sandbox
    SET transcript_cursor = $8, boot_id = $9, updated_at = $10
    FROM answered
    WHERE sandbox.id = $7 AND sandbox.user_id = $1
)
SELECT EXISTS (SELECT FROM message WHERE id = $2 AND user_id = $1) AS known
