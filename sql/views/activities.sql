-- One row is an event of CCO's activity list, of any type. NULL: not sent. timestamp is the text as sent,
-- occurred_at the same in UTC, or when we got it where it cannot be read. Sort by occurred_ns: it is
-- indexed.
select
    activity_id,
    timestamp,
    {{utc occurred_ns}} as occurred_at,
    (select name from source where source.source_id = activity.source_id) as source,
    event_type,
    agent_name,
    model,
    tokens,
    latency_ms,
    status,
    cost_nusd / 1e9 as cost_usd,
    occurred_ns
from activity
