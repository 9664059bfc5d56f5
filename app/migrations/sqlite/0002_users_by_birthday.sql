-- Birthdays in the order of the year, 29 February included, and people of one day by name.
CREATE INDEX users_by_birthday ON users
    ((CAST(substr(date_of_birth, 6, 2) || substr(date_of_birth, 9, 2) AS INTEGER)), username);
