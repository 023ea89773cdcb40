-- What must stay the same for as long as an installation exists. It has one row.
CREATE TABLE installation (
    is_only       boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    -- By which the key is recognized with which user ids are derived.
    user_id_check text NOT NULL
);
