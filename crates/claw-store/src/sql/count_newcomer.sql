-- Counts a newcomer if there is room: $1 the hour, $2 the day, $3 most in an hour, $4 most in a day. A concurrent call
-- waits for the row and checks it again. The clocks of two replicas may differ, so a newer hour or day stays.
UPDATE newcomer_count
SET hour = GREATEST(hour, $1), in_hour = CASE WHEN hour < $1 THEN 1 ELSE in_hour + 1 END,
    day = GREATEST(day, $2), in_day = CASE WHEN day < $2 THEN 1 ELSE in_day + 1 END
WHERE (CASE WHEN hour < $1 THEN 0 ELSE in_hour END) < $3
  AND (CASE WHEN day < $2 THEN 0 ELSE in_day END) < $4
