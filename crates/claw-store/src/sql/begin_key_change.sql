-- Stores that a model key is about to change. No row if the change is no longer wanted: since it was listed the user was
-- suspended or resumed, or the sandbox got another key.
UPDATE sandbox SET model_key_state = 'changing'
WHERE id = $1 AND model_key_hash = $2 AND {suspended} = $3
RETURNING id
