-- One row for each unordered pair of people, whoever asked.
CREATE TABLE friendships (
    low text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    high text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    requested_by_low boolean NOT NULL,
    accepted boolean NOT NULL DEFAULT false,
    PRIMARY KEY (low, high),
    CHECK (low < high)
);
-- For the friends of the one who is second, and for removing a user.
CREATE INDEX friendships_by_high ON friendships (high, low);
