-- One row a person. Dates are text, YYYY-MM-DD, which sorts as time does.
CREATE TABLE users (
    username TEXT NOT NULL PRIMARY KEY CHECK (length(username) BETWEEN 1 AND 64),
    date_of_birth TEXT NOT NULL CHECK (date_of_birth >= '1900-01-01')
) STRICT, WITHOUT ROWID;
