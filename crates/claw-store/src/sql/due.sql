(host = {host} AND (engine IS NULL OR engine = {engine})
 AND (status = 'asleep' AND wake_at IS NOT NULL AND {sleeper} OR status = 'failed' AND retry_at <= {now})
 AND NOT {suspended})
