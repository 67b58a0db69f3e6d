-- Where the sink writes: every record of hotline.tickets as it came, repeats and void ones too. Only `type` is not NULL in every row.
CREATE TABLE tickets_log (
    __connect_topic     text    NOT NULL,
    __connect_partition integer NOT NULL,
    __connect_offset    bigint  NOT NULL,
    type                text    NOT NULL,
    event_id            bytea,
    occurred_at         bigint,
    recorded_at         bigint,
    number              text,
    version             integer,
    cycle               integer,
    era                 bigint,
    cause_id            bytea,
    actor               text,
    queue               text,
    channel             text,
    kind                text,
    topic               text,
    reason_code         text,
    resolution_code     text,
    PRIMARY KEY (__connect_topic, __connect_partition, __connect_offset)
);
CREATE INDEX ON tickets_log (__connect_partition, era) WHERE type = 'hotline.outcomes.EraOpened';

-- What counts: no decision behind the mark of a later era, and of a version that lies there several times the first.
CREATE VIEW tickets_valid AS
SELECT DISTINCT ON (number, version)
       number, version, encode(event_id, 'hex') AS event_id, type, era, cycle, actor, queue, channel, kind, topic, reason_code, resolution_code,
       timestamptz 'epoch' + occurred_at * interval '1 microsecond' AS occurred_at,
       timestamptz 'epoch' + recorded_at * interval '1 microsecond' AS recorded_at
  FROM tickets_log AS one
 WHERE number IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM tickets_log AS mark
                    WHERE mark.type = 'hotline.outcomes.EraOpened' AND mark.__connect_partition = one.__connect_partition
                      AND mark.__connect_offset < one.__connect_offset AND mark.era > one.era)
 ORDER BY number, version, __connect_offset;

-- What should be empty: offsets have no holes, and a version is one event.
CREATE VIEW tickets_holes AS
SELECT __connect_partition AS part, before + 1 AS first_missing, __connect_offset - 1 AS last_missing
  FROM (SELECT __connect_partition, __connect_offset, lag(__connect_offset, 1, -1) OVER (PARTITION BY __connect_partition ORDER BY __connect_offset)
               AS before
          FROM tickets_log) AS places
 WHERE __connect_offset <> before + 1;
