-- duckdb < tickets.sql, beside a folder `tickets` made by: hotline export tickets --format parquet --to tickets

-- What counts: no decision behind the mark of a later era, and of a version that lies there several times the first
CREATE OR REPLACE VIEW tickets_valid AS
  FROM read_parquet('tickets/*.parquet')
 WHERE NOT void AND version IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY number, version ORDER BY log_offset) = 1;

-- How each ticket stands
CREATE OR REPLACE VIEW tickets_now AS
SELECT number, max(version) AS version, arg_max(type, version) AS last_decision, min(recorded_at) AS registered_at
  FROM tickets_valid
 GROUP BY number;

FROM tickets_now ORDER BY number;
