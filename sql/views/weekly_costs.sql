-- One row is a local ISO week (2026-W27, Monday to Sunday) that has calls of counted sources. A sum is NULL
-- where no call of the week says it.
select
    (select week from calendar where calendar.day = daily_usage.day limit 1) as week,
    {{measures shown}}
from {{daily_usage by day, source_id}}
where counted
group by 1
