-- Spare sandboxes, which are started before anybody asks for them.

CREATE INDEX sandbox_spare ON sandbox (status) WHERE user_id IS NULL;

-- Deletes the row of a spare sandbox of which nothing else is left.
CREATE FUNCTION forget_spare(spare uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    DELETE FROM sandbox WHERE id = spare AND user_id IS NULL AND status = 'removing';
$$;
