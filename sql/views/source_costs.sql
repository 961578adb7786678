-- One row is a source that has calls, counted or not. share is of the cost of all counted sources; NULL: not
-- counted, or no call has a cost. A sum is NULL where no call says it.
with by_source as (
    select
        source_id,
        {{measures added}}
    from daily_usage
    group by source_id
)
select
    name as source,
    counted,
    {{utc min(first_ns)}} as first_at,
    {{utc max(last_ns)}} as last_at,
    sum(cost_nusd) filter (where counted) * 1.0 / sum(sum(cost_nusd) filter (where counted)) over () as share,
    {{measures shown}}
from by_source
join source_counted using (source_id)
group by source_id
