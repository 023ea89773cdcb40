(host = {host} AND (engine IS NULL OR engine = {engine})
 AND (status = 'asleep' AND wake_at <= {until} OR status = 'failed' AND retry_at <= {now})
 AND NOT {suspended})
