-- The services' roles and all of their rights. Applied after the migrations, every time: what is not granted here is
-- revoked. No service owns a table, so none can change the schema, and none may delete rows.
DO $$
DECLARE
    service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['provisioner', 'gateway', 'outbound'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = service) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', service);
        END IF;
    END LOOP;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO provisioner, gateway, outbound', current_database());
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO provisioner, gateway, outbound;

-- Revokes the rights to single columns, too.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, provisioner, gateway, outbound;

-- Makes sandboxes. Knows users by their ids only.
GRANT SELECT, INSERT, UPDATE ON sandbox TO provisioner;
GRANT SELECT (id, suspended_at, suspension_reason, last_inbound_at) ON "user" TO provisioner;
-- Nothing sleeps that is asked or called.
GRANT SELECT (user_id, status) ON message TO provisioner;
GRANT SELECT (user_id, ended_at) ON "call" TO provisioner;
REVOKE ALL ON FUNCTION forget_spare FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_spare TO provisioner;

-- Talks with users. Of a sandbox it needs the way to it, but not its model key, and keeps the position in its transcript.
GRANT SELECT, INSERT, UPDATE ON "user", message, "call", pin_guesses TO gateway;
GRANT SELECT (id, user_id, host, container_id, port, endpoint, status, error, start, cause, attempt, model,
              gateway_token_sealed, device_seed_sealed, model_key_hash, model_key_name, model_key_state,
              transcript_cursor, boot_id, engine, policy, wake_at, wake_for, job_wakes, job_wakes_since, failures, retry_at,
              requested_at, updated_at) ON sandbox TO gateway;
GRANT UPDATE (transcript_cursor, boot_id, updated_at) ON sandbox TO gateway;

-- Decides who may come in. Invites and the lists are the operator's.
GRANT SELECT ON access_list, invite, newcomer_count TO gateway;
GRANT UPDATE (used) ON invite TO gateway;
GRANT UPDATE ON newcomer_count TO gateway;
GRANT SELECT, INSERT, UPDATE ON refusal TO gateway;
REVOKE ALL ON FUNCTION forget_refusals FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_refusals TO gateway;

-- Sends replies. Of a user it needs the address, whether WhatsApp's 24 hours are open, and whether we may write at all.
GRANT SELECT, INSERT, UPDATE ON delivery TO outbound;
GRANT SELECT (id, phone, wa_user_id, last_inbound_at, template_asked_at, suspended_at, suspension_reason) ON "user" TO outbound;
GRANT SELECT (user_id, phone, wa_user_id, written_at) ON refusal TO outbound;

-- Whether everybody is suspended, and who is blocked.
GRANT SELECT ON suspension TO provisioner, gateway, outbound;
GRANT SELECT (user_id, list, since) ON access_list TO provisioner, outbound;
