INSERT INTO sandbox AS s (id, user_id, host, container_name, status, start, cause, attempt, model,
                          gateway_token_sealed, device_seed_sealed, requested_at, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8, $9, $10, $11, $11, $11)
ON CONFLICT (user_id) DO NOTHING
RETURNING {sandbox}
