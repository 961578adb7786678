-- One row is a local ISO week (2026-W27, Monday to Sunday) that has calls of counted sources. A sum is NULL
-- where no call of the week says it.
with by_day as (
    select
        day,
        {{measures added}}
    from daily_usage
    where counted
    group by day
)
select
    (select week from calendar where calendar.day = by_day.day limit 1) as week,
    {{measures shown}}
from by_day
group by 1
