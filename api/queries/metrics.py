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
