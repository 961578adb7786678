-- One row is a local day from :since to :until (NULL or empty: no bound) on which two sources have calls, and what each saw;
-- the largest difference in cost first. Where both show the same work, such as a proxy and the transcripts behind it, a
-- difference is what one of them did not see or counts otherwise. A cost is NULL where no call has one.
with by_day as materialized (
    select day, source_id, sum(calls) as calls, sum(total_tokens) as total_tokens, sum(cost_nusd) as cost_nusd
    from daily_usage
    where day >= ifnull(nullif(:since, ''), '') and day <= ifnull(nullif(:until, ''), '9999')
    group by day, source_id
)
select
    one.day,
    (select name from source where source.source_id = one.source_id) as source,
    (select name from source where source.source_id = other.source_id) as other_source,
    one.cost_nusd / 1e9 as cost_usd,
    other.cost_nusd / 1e9 as other_cost_usd,
    (one.cost_nusd - other.cost_nusd) / 1e9 as difference_usd,
    one.calls,
    other.calls as other_calls,
    one.total_tokens,
    other.total_tokens as other_total_tokens
from by_day as one
join by_day as other on other.day = one.day and other.source_id > one.source_id
order by abs(one.cost_nusd - other.cost_nusd) desc, one.day desc
