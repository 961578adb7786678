-- One row is something that no total holds: gaps of one kind of a source, what of it could not be understood for one
-- reason, its calls without a price, or all its calls where it is not counted. times: how often it happened. NULL: unknown,
-- or no such thing.
with gaps as (
    select
        source_id,
        'gap: ' || kind as what,
        count(*) as times,
        sum(calls) as calls,
        sum(cost_nusd) as cost_nusd,
        sum(events) as events,
        min(ifnull(from_ns, to_ns)) as first_ns,
        max(to_ns) as last_ns
    from gap
    group by source_id, kind
),
rejects as (
    select
        source_id,
        'not understood: ' || reason as what,
        sum(times) as times,
        null as calls,
        null as cost_nusd,
        null as events,
        min(at_ns) as first_ns,
        max(at_ns) as last_ns
    from rejected
    group by source_id, reason
),
by_source as (
    select
        source_id,
        sum(unpriced_calls) as unpriced_calls,
        sum(calls) as calls,
        sum(cost_nusd) as cost_nusd,
        min(first_ns) filter (where unpriced_calls > 0) as first_unpriced_ns,
        max(last_ns) filter (where unpriced_calls > 0) as last_unpriced_ns,
        min(first_ns) as first_ns,
        max(last_ns) as last_ns
    from daily_usage
    group by source_id
),
unpriced as (
    select source_id, 'no price', unpriced_calls, unpriced_calls, null, null, first_unpriced_ns, last_unpriced_ns
    from by_source
    where unpriced_calls > 0
),
uncounted as (
    select source_id, 'source not counted', calls, calls, cost_nusd, null, first_ns, last_ns
    from by_source
    join source_counted using (source_id)
    where not counted
),
missing as (
    select * from gaps
    union all
    select * from rejects
    union all
    select * from unpriced
    union all
    select * from uncounted
)
select
    (select name from source where source.source_id = missing.source_id) as source,
    what,
    times,
    calls as missing_calls,
    cost_nusd / 1e9 as missing_cost_usd,
    events as missing_events,
    strftime('%Y-%m-%dT%H:%M:%fZ', first_ns / 1000000 / 1000.0, 'unixepoch') as first_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', last_ns / 1000000 / 1000.0, 'unixepoch') as last_at
from missing
order by last_at desc, source, what
