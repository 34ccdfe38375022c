-- SPDX-License-Identifier: MIT
-- What sqlite3 is measured on: half a million rows inserted in memory, and an index over their names.
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000)
INSERT INTO t SELECT i, 'name ' || (i * 7919 % 500000), i / 3.0 FROM n;
CREATE INDEX by_name ON t(name);
SELECT count(*), sum(value) FROM t WHERE name > 'name 5';
