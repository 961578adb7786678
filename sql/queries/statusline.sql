-- One row: the calls of counted sources since :today_s (the day's local midnight, also as :today), since :hour_ns, and of the
-- session named :session, its month before today added. A sum is NULL where no call says it, or there is none. Money is
-- nano-USD. updated_ns: when a source last wrote; NULL: never.
with wanted as materialized (
    select source_id from source_counted where counted
),
asked as materialized (
    select session_id from session where name = :session
),
cell as (
    select
        session_id,
        calls,
        unpriced_calls,
        input_tokens + cache_write_5m_tokens + cache_write_1h_tokens + cache_read_tokens as context_tokens,
        cache_read_tokens,
        cost_nusd
    from rollup_quarter_hour
    where bucket_s >= :today_s
        and bucket_s not in (select bucket_s from dirty_bucket)
        and source_id in (select source_id from wanted)
    union all
    select
        session_id,
        1,
        reported_nusd is null and computed_nusd is null,
        input_tokens + cache_write_5m_tokens + cache_write_1h_tokens + cache_read_tokens,
        cache_read_tokens,
        ifnull(reported_nusd, computed_nusd)
    from dirty_bucket
    cross join call
        on occurred_ns >= bucket_s * 1000000000 and occurred_ns < (bucket_s + 900) * 1000000000
    where bucket_s >= :today_s and source_id in (select source_id from wanted)
),
today as (
    select
        sum(calls) as calls,
        sum(unpriced_calls) as unpriced_calls,
        sum(context_tokens) as context_tokens,
        sum(cache_read_tokens) as cache_read_tokens,
        sum(cost_nusd) as cost_nusd,
        sum(context_tokens) filter (where session_id = (select session_id from asked)) as session_context_tokens,
        sum(cache_read_tokens) filter (where session_id = (select session_id from asked)) as session_read_tokens,
        sum(cost_nusd) filter (where session_id = (select session_id from asked)) as session_nusd
    from cell
),
earlier as (
    select
        sum(input_tokens + cache_write_5m_tokens + cache_write_1h_tokens + cache_read_tokens) as context_tokens,
        sum(cache_read_tokens) as cache_read_tokens,
        sum(cost_nusd) as cost_nusd
    from rollup_day -- as last added up: the minute that this may be behind is worth less than the time it takes
    where source_id in (select source_id from wanted)
        and day >= date(:today, '-31 days')
        and day < :today
        and session_id = (select session_id from asked)
),
hour as (
    select count(*) as calls, sum(ifnull(reported_nusd, computed_nusd)) as cost_nusd
    from call
    where occurred_ns >= :hour_ns and source_id in (select source_id from wanted)
)
select
    iif(session_nusd is null, earlier.cost_nusd, session_nusd + ifnull(earlier.cost_nusd, 0)) as session_nusd,
    ifnull(session_read_tokens, 0) + ifnull(earlier.cache_read_tokens, 0) as session_read_tokens,
    ifnull(session_context_tokens, 0) + ifnull(earlier.context_tokens, 0) as session_context_tokens,
    iif(today.calls, today.cost_nusd, 0) as today_nusd,
    ifnull(today.unpriced_calls, 0) as unpriced_calls,
    today.cache_read_tokens as read_tokens,
    today.context_tokens,
    iif(hour.calls, hour.cost_nusd, 0) as hour_nusd,
    (select max(updated_ns) from run) as updated_ns
from today
cross join earlier
cross join hour
