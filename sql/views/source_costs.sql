-- One row is a source that has calls, counted or not. share is of the cost of all counted sources; NULL: not
-- counted, or no call has a cost. A sum is NULL where no call says it.
select
    name as source,
    source_counted.counted,
    {{utc min(first_ns)}} as first_at,
    {{utc max(last_ns)}} as last_at,
    sum(cost_nusd) filter (where source_counted.counted) * 1.0 / sum(sum(cost_nusd) filter (where source_counted.counted)) over () as share,
    {{measures shown}}
from {{daily_usage by day, source_id}}
join source_counted using (source_id)
group by source_id
