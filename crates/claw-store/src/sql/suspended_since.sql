SELECT EXISTS (SELECT FROM "user" WHERE id = $1 AND last_suspended_at >= $2)
    OR EXISTS (SELECT FROM suspension WHERE last_suspended_at >= $2) AS suspended
