"""The figures of the query application that `/metrics` shows, beside those of every request in `api.health`. None tells of a person."""

from prometheus_client import Counter, Gauge, Histogram

READ_MODEL_LAG = Gauge("hotline_read_model_lag_records", "Records at the end of the log that a read model has not applied yet.", ("model",))
LAG_UNKNOWN = Gauge("hotline_read_model_lag_unknown", "1 while the ends of the log or the positions can't be read: the lag is not known.")
CARDS_IN_FETCH = Histogram(
    "hotline_cards_in_fetch",
    "Tickets asked for in one SELECT, gathered from waiting requests.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 500),
)
POSITION_WAITS = Counter("hotline_position_waits", "Requests with at_least, by how the wait ended: reached or late.", ("ended",))
DRIFT_COVERAGE = Gauge("hotline_drift_coverage_ratio", "Share of all tickets that the drift audit compared within its window, 0 to 1.")
DRIFT_RATE = Gauge("hotline_drift_records_per_second", "Records of the log that the last pass of the drift audit read a second.")
DRIFT_LAST_PASS = Gauge("hotline_drift_last_pass_timestamp_seconds", "When the last pass of the drift audit ended, seconds since 1970.")
DRIFT_FINDINGS = Gauge("hotline_drift_findings", "Findings of the drift audit that are not repaired.", ("model",))
DRIFT_FOUND = Gauge("hotline_drift_found", "Findings of the drift audit of the last 90 days, repaired ones too.", ("model",))
STREAMS_OPEN = Gauge("hotline_streams_open", "Live streams with a reader.")
STREAMS_ENDED = Counter("hotline_streams_ended", "Live streams that ended: left, over, dropped, stopping or broken.", ("why",))
