-- The model keys of a host whose users have been suspended or resumed. Spare sandboxes are suspended with everybody.
SELECT sandbox.id, sandbox.model_key_hash, wanted.state = 'disabled' AS disable
FROM sandbox
CROSS JOIN LATERAL (
    SELECT CASE WHEN {suspended} THEN 'disabled' ELSE 'enabled' END AS state
) AS wanted
WHERE sandbox.host = $1 AND sandbox.model_key_hash IS NOT NULL
  AND sandbox.model_key_state <> wanted.state
ORDER BY sandbox.requested_at
