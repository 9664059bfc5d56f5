-- One row a person. "C" collation: names compare byte by byte, whatever the server's locale.
CREATE TABLE users (
    username text COLLATE "C" PRIMARY KEY CHECK (char_length(username) BETWEEN 1 AND 64),
    date_of_birth date NOT NULL CHECK (date_of_birth >= DATE '1900-01-01')
) WITH (fillfactor = 90); -- room on the page for updated rows, so that updates leave the index alone
