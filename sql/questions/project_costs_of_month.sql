-- One row is a project in the local month :month, such as 2026-07 (NULL or empty: this month), over the calls of counted
-- sources, the dearest first; project NULL: the calls that name none. month_before_usd is its cost in the whole month
-- before. share is of the month's cost. Any other NULL: no call says it.
with today as (
    select date(unixepoch() + unixepoch(substr(hour, 1, 16)) - unixepoch(hour), 'unixepoch') as day
    from calendar
    where bucket_s <= unixepoch()
    order by bucket_s desc
    limit 1
),
asked as materialized (
    select ifnull(nullif(:month, ''), substr((select day from today), 1, 7)) as month
),
month as materialized (
    select month, substr(date(month || '-01', '-1 month'), 1, 7) as month_before from asked
),
by_month as (
    select
        project_id,
        substr(day, 1, 7) as month,
        sum(calls) as calls,
        sum(unpriced_calls) as unpriced_calls,
        count(distinct nullif(session_id, 0)) as sessions,
        sum(total_tokens) as total_tokens,
        sum(cost_nusd) as cost_nusd,
        sum(savings_nusd) as savings_nusd
    from daily_usage
    where counted
        and day >= (select month_before from month)
        and day < (select date(month || '-01', '+1 month') from month)
    group by project_id, substr(day, 1, 7)
),
before as (
    select project_id, cost_nusd from by_month where month = (select month_before from month)
)
select
    month,
    (select name from project where project.project_id = by_month.project_id) as project,
    cost_nusd / 1e9 as cost_usd,
    1.0 * cost_nusd / sum(cost_nusd) over () as share,
    (select before.cost_nusd from before where before.project_id = by_month.project_id) / 1e9 as month_before_usd,
    calls,
    unpriced_calls,
    sessions,
    total_tokens,
    savings_nusd / 1e9 as savings_usd
from by_month
where month = (select month from month)
order by by_month.cost_nusd desc nulls last, calls desc
