-- One row is a call for which CCO used another model than was asked for. CCO shows its last 10 overrides, again and
-- again: as many alike are as many as the answer that has most of them. timestamp is the text as sent, occurred_at the
-- same in UTC, or when we saw it first where it cannot be read. NULL: not said.
with entry as (
    select
        sample_id,
        source,
        polled_at,
        iif(one.type = 'object', one.value, '{}') as override
    from samples
    join json_each(ifnull(body, '{}'), '$.recent_overrides') as one
    where endpoint = '/api/overrides/stats' and one.type = 'object'
),
said as (
    select
        sample_id,
        source,
        polled_at,
        override ->> '$.original_model' as original_model,
        override ->> '$.override_to' as override_to,
        override ->> '$.timestamp' as timestamp
    from entry
),
numbered as (
    select
        *,
        ltrim(substr(timestamp, 20), '.0123456789') as zone,
        row_number() over (partition by sample_id, original_model, override_to, timestamp) as nth
    from said
),
timed as (
    select
        *,
        substr(timestamp, 1, 19)
        || substr(substr(timestamp, 20, length(timestamp) - 19 - length(zone)), 1, 4) -- cut: SQLite would round up
        || zone as time
    from numbered
)
select
    source,
    original_model,
    override_to,
    timestamp,
    ifnull(
        iif(time glob '[0-9][0-9][0-9][0-9]-*T*', strftime('%Y-%m-%dT%H:%M:%fZ', time), null),
        min(polled_at)
    ) as occurred_at
from timed
group by source, original_model, override_to, timestamp, nth
