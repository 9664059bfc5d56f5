-- One row for each unordered pair of people, whoever asked.
CREATE TABLE friendships (
    low TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    high TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    requested_by_low INTEGER NOT NULL CHECK (requested_by_low IN (0, 1)),
    accepted INTEGER NOT NULL DEFAULT 0 CHECK (accepted IN (0, 1)),
    PRIMARY KEY (low, high),
    CHECK (low < high)
) STRICT, WITHOUT ROWID;
-- For the friends of the one who is second, and for removing a user.
CREATE INDEX friendships_by_high ON friendships (high, low);
