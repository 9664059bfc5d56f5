-- In place of the released migration of this version, which holds back writes while it builds the same index.
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_by_birthday ON users
    (((extract(month FROM date_of_birth) * 100 + extract(day FROM date_of_birth))::smallint), username);
