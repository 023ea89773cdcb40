(EXISTS (SELECT FROM suspension WHERE suspended_at IS NOT NULL)
 OR EXISTS (SELECT FROM "user" WHERE "user".id = {user} AND suspended_at IS NOT NULL)
 OR EXISTS (SELECT FROM access_list WHERE access_list.user_id = {user} AND list = 'block'))
