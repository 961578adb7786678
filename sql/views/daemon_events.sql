-- One row is an event of a session daemon (CCD), of any family and kind; each event id once. NULL: not sent.
-- timestamp is the text as sent, occurred_at the same in UTC, or when we got it where it cannot be read. runtime
-- and payload are JSON; long texts of a large payload are their length and SHA-256.
select
    event_id,
    family,
    kind,
    profile,
    timestamp,
    {{utc occurred_ns}} as occurred_at,
    runtime,
    payload,
    (select name from source where source.source_id = daemon_event.source_id) as source
from daemon_event
