-- Who may come in: the operator's lists, invites, the number of newcomers, and those who were refused.

CREATE TABLE access_list (
    user_id uuid PRIMARY KEY,                  -- of a number that may never have written
    list    text NOT NULL CHECK (list IN ('allow', 'block')),
    note    text NOT NULL,                     -- the operator's
    since   timestamptz NOT NULL
);

CREATE TABLE invite (
    id         uuid PRIMARY KEY,               -- derived from the code, which is stored nowhere
    note       text NOT NULL,                  -- the operator's
    uses       integer NOT NULL CHECK (uses > 0),
    used       integer NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND uses),
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL
);

-- One row, which counts the newcomers of the last hour and the last day (UTC) in which one came in.
CREATE TABLE newcomer_count (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    hour    timestamptz NOT NULL DEFAULT 'epoch',
    in_hour integer NOT NULL DEFAULT 0,
    day     timestamptz NOT NULL DEFAULT 'epoch',
    in_day  integer NOT NULL DEFAULT 0
);
INSERT INTO newcomer_count DEFAULT VALUES;

-- Somebody who was refused, until forget_at. The row does not change with messages that get no answer.
CREATE TABLE refusal (
    user_id     uuid PRIMARY KEY,
    phone       text,                          -- the address, to tell them once
    wa_user_id  text,
    written_at  timestamptz NOT NULL,          -- opens WhatsApp's 24-hour window
    message_id  uuid NOT NULL,                 -- the last message that changed this row
    is_told     boolean NOT NULL,              -- whether that message got an answer
    wrong_codes integer NOT NULL,
    wait_until  timestamptz NOT NULL,          -- no code is tried before
    deliveries  uuid[] NOT NULL,               -- of the answers
    forget_at   timestamptz NOT NULL,
    CONSTRAINT refused_can_be_reached CHECK (phone IS NOT NULL OR wa_user_id IS NOT NULL)
);

CREATE INDEX refusal_to_forget ON refusal (forget_at);

-- Deletes a user's refusal if its time has come, some others whose time has come, and the deliveries of their answers.
-- A function with the owner's rights, because no service may delete rows.
CREATE FUNCTION forget_refusals(now timestamptz, of_user uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH forgotten AS (
        DELETE FROM refusal
        WHERE forget_at <= now
          AND (user_id = of_user OR user_id IN (
              SELECT user_id FROM refusal WHERE forget_at <= now ORDER BY forget_at LIMIT 10 FOR UPDATE SKIP LOCKED))
        RETURNING deliveries
    )
    DELETE FROM delivery USING forgotten WHERE delivery.id = ANY (forgotten.deliveries)
$$;
