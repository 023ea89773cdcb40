-- demand
SELECT count(*) FILTER (WHERE status = ANY ($3::text[])) AS taken,
       count(*) FILTER (WHERE user_id IS NULL AND host = $1 AND engine = $2 AND status = 'ready') AS ready_spares,
       count(*) FILTER (WHERE user_id IS NULL AND host = $1 AND (engine IS NULL OR engine = $2)
                          AND status = ANY ($4::text[])) AS starting_spares,
       count(*) FILTER (WHERE {waiting}) AS queued
FROM sandbox
WHERE status = ANY ($3::text[]) OR status = 'queued'
