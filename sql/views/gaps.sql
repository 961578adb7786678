-- One row is a time in which calls are provably missing: overflow, attach (before our time), restart, excess
-- (less than 0); or in which daemon events may be, which nobody sends again: disconnected, dropped (we were too slow).
-- from_at NULL: unknown; missing_calls and missing_cost_usd NULL: unknown, as after a restart; missing_events NULL:
-- unknown, or none. No cost view adds these.
select
    (select name from source where source.source_id = gap.source_id) as source,
    kind,
    {{utc from_ns}} as from_at,
    {{utc to_ns}} as to_at,
    calls as missing_calls,
    cost_nusd / 1e9 as missing_cost_usd,
    {{utc detected_ns}} as detected_at,
    events as missing_events
from gap
