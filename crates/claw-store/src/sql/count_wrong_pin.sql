-- Counts a wrong PIN; a new day begins with the first one after $4.
INSERT INTO pin_guesses (user_id, callers, since, wrong)
VALUES ($1, $2, $3, 1)
ON CONFLICT (user_id, callers) DO UPDATE
SET since = CASE WHEN pin_guesses.since > $4 THEN pin_guesses.since ELSE $3 END,
    wrong = CASE WHEN pin_guesses.since > $4 THEN pin_guesses.wrong + 1 ELSE 1 END
