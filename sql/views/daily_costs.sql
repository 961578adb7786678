-- One row is a local day that has calls of counted sources. A sum is NULL where no call of the day says it,
-- sessions where none names its session, latency_ms (the average) where none says its latency.
select
    day,
    {{measures shown}},
    nullif(count(distinct nullif(session_id, 0)), 0) as sessions,
    cast(round(1.0 * sum(latency_ms_sum) / sum(latency_ms_count)) as integer) as latency_ms
from daily_usage
where counted
group by day
