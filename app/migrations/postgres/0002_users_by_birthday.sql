-- Birthdays in the order of the year, 29 February included, and people of one day by name.
-- Building it holds back writes, for about a second a million rows.
CREATE INDEX users_by_birthday ON users
    (((extract(month FROM date_of_birth) * 100 + extract(day FROM date_of_birth))::smallint), username);
