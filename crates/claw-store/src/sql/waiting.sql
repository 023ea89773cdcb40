(status = 'queued' AND (engine IS NULL OR engine = {engine})
 -- A suspended or blocked user waits on: their sandbox would not be started.
 AND NOT {suspended})
