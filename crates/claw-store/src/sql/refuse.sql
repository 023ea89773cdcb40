-- Stores a refusal, or changes the one that there is.
INSERT INTO refusal (user_id, phone, wa_user_id, written_at, message_id, is_told, wrong_codes, wait_until, deliveries,
                     forget_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (user_id) DO UPDATE
SET written_at = $4, message_id = $5, is_told = $6, wrong_codes = $7, wait_until = $8, forget_at = $10,
    -- The same message may be refused again, after a crash.
    deliveries = CASE WHEN refusal.message_id = $5 THEN refusal.deliveries ELSE refusal.deliveries || $9 END
