-- places_ahead
-- The places that are taken, or are for others who come first: for due jobs and failed sandboxes, then for users who
-- had a sandbox before, of whom $5 is one, then for newcomers.
SELECT count(*) AS ahead FROM sandbox
WHERE status = ANY ($1::text[])
   OR {waiting} AND (start > 1 OR $5::uuid IS NULL)
   OR {due} AND ({is_job} OR status = 'failed') AND id IS DISTINCT FROM $5::uuid
