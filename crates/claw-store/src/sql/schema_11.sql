-- Sleep. A sandbox that is asleep keeps its volume and its model key, and nothing else.

ALTER TABLE sandbox
    DROP CONSTRAINT sandbox_status_check,
    ADD CONSTRAINT sandbox_status_check CHECK
        (status IN ('queued', 'requested', 'starting', 'ready', 'asleep', 'removing', 'failed', 'removed')),
    ADD COLUMN engine text,                    -- the id of the container engine that has its container and volume
    ADD COLUMN policy text NOT NULL DEFAULT 'sleep' CHECK (policy IN ('always_on', 'sleep', 'off')),
    ADD COLUMN wake_at timestamptz,            -- of a sleeper: when it is started without a request
    ADD COLUMN wake_for text CHECK (wake_for IN ('job', 'heartbeat')),  -- why; kept until it is next asked for or asleep
    ADD COLUMN job_wakes integer NOT NULL DEFAULT 0,   -- starts for jobs that repeat, since job_wakes_since
    ADD COLUMN job_wakes_since timestamptz NOT NULL DEFAULT 'epoch',
    ADD COLUMN failures integer NOT NULL DEFAULT 0,    -- failed starts in a row
    ADD COLUMN first_start integer NOT NULL DEFAULT 1, -- the first start since the sandbox was made, or last removed
    ADD COLUMN retry_at timestamptz;           -- of a failed one: when it is started again without a request

CREATE INDEX sandbox_to_wake ON sandbox (host, wake_at) WHERE status = 'asleep' AND wake_at IS NOT NULL;
CREATE INDEX sandbox_to_retry ON sandbox (host, retry_at) WHERE retry_at IS NOT NULL;
