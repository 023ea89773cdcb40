-- Refusals and the deliveries of their answers outlive the events of the bus. A replica that takes over may be given an
-- answer again that was produced weeks ago; without these rows it would be sent again.

-- Deletes refusals 31 days after forget_at, a day more than the stream OUTBOUND keeps the answers: the user's if it is
-- due, and some others that are. Deletes the deliveries of the answers with them, and those of a user who keeps being
-- refused when they are 31 days old. A stranger gets one answer a day at most, and three more a week to wrong codes,
-- so they have one refusal and some fifty deliveries at most. Of deleted deliveries the refusal keeps the ids.
CREATE OR REPLACE FUNCTION forget_refusals(now timestamptz, of_user uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH forgotten AS (
        DELETE FROM refusal
        WHERE forget_at <= now - interval '31 days'
          AND (user_id = of_user OR user_id IN (
              SELECT user_id FROM refusal WHERE forget_at <= now - interval '31 days'
              ORDER BY forget_at LIMIT 10 FOR UPDATE SKIP LOCKED))
        RETURNING deliveries
    )
    DELETE FROM delivery USING forgotten WHERE delivery.id = ANY (forgotten.deliveries);

    DELETE FROM delivery USING refusal
    WHERE refusal.user_id = of_user AND delivery.id = ANY (refusal.deliveries)
      AND delivery.created_at <= now - interval '31 days';
$$;
