-- One row is a pair of counted sources that both have calls in some hours: alike are those of these hours in which the
-- smaller number of calls is at least four fifths of the larger one. Seen twice, a call would be spent twice.
with by_hour as materialized (
    select hour, source_id, sum(calls) as calls
    from hourly_usage
    where counted
    group by hour, source_id
)
select
    (select name from source where source.source_id = one.source_id) as source,
    (select name from source where source.source_id = other.source_id) as other,
    (select kind from source where source.source_id = one.source_id) as kind,
    (select kind from source where source.source_id = other.source_id) as other_kind,
    count(*) as hours,
    count(*) filter (where 5 * min(one.calls, other.calls) >= 4 * max(one.calls, other.calls)) as alike_hours
from by_hour as one
join by_hour as other on other.hour = one.hour and other.source_id > one.source_id
group by one.source_id, other.source_id
