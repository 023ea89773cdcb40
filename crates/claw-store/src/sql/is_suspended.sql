(EXISTS (SELECT FROM suspension WHERE suspended_at IS NOT NULL)
 OR EXISTS (SELECT FROM "user" WHERE "user".id = {user} AND suspended_at IS NOT NULL))
