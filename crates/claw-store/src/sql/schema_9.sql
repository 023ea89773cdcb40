-- Suspensions. While a user is suspended, nothing is asked of their assistant and nothing is sent to them.

ALTER TABLE "user"
    ADD COLUMN suspended_at      timestamptz,  -- null: not suspended
    ADD COLUMN suspension_reason text,         -- for the operator
    ADD COLUMN last_suspended_at timestamptz,  -- kept after the suspension: its turns may have been aborted
    ADD CONSTRAINT suspension_has_a_reason CHECK ((suspended_at IS NULL) = (suspension_reason IS NULL));

-- As small as the number of suspended users.
CREATE INDEX user_suspended ON "user" (id) WHERE suspended_at IS NOT NULL;

-- The suspension of everybody: always one row, with the meaning of the columns above.
CREATE TABLE suspension (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    suspended_at      timestamptz,
    suspension_reason text,
    last_suspended_at timestamptz,
    CHECK ((suspended_at IS NULL) = (suspension_reason IS NULL))
);

INSERT INTO suspension DEFAULT VALUES;

ALTER TABLE sandbox
    -- Whether the key is enabled at the provider. `changing` is stored before a change, the result after it.
    ADD COLUMN model_key_state text NOT NULL DEFAULT 'enabled'
                               CHECK (model_key_state IN ('enabled', 'changing', 'disabled'));
