-- One row is a local month that has calls of counted sources. A sum is NULL where no call of the month says
-- it, sessions where none names its session, latency_ms (the average) where none says its latency.
select
    substr(day, 1, 7) as month,
    {{measures shown}},
    nullif(count(distinct nullif(session_id, 0)), 0) as sessions,
    cast(round(1.0 * sum(latency_ms_sum) / sum(latency_ms_count)) as integer) as latency_ms
from daily_usage
where counted
group by substr(day, 1, 7)
