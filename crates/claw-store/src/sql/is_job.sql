(status = 'asleep' AND wake_for IS NOT DISTINCT FROM 'job')
