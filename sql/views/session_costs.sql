-- One row is a session, over its calls of counted sources; session_id NULL: all calls that name none.
-- project is that of its first call, models the names in order; either is NULL where no call names one. A
-- sum is NULL where no call of the session says it.
with by_session as (
    select
        daily_usage.session_id as id,
        min(printf('%019d %d', first_ns, project_id)) as first_call,
        min(first_ns) as first_ns,
        max(last_ns) as last_ns,
        group_concat(distinct model_id) as model_ids,
        {{measures shown}}
    from daily_usage
    where counted
    group by daily_usage.session_id
)
select
    (select name from session where session.session_id = id) as session_id,
    (select name from project where project_id = cast(substr(first_call, 21) as integer)) as project,
    {{utc first_ns}} as started_at, -- here, where a page asks for it of its own rows only
    {{utc last_ns}} as ended_at,
    ifnull(
        (select name from model where model_id = model_ids), -- quick, and most sessions use one
        (
            select group_concat(name, ', ')
            from (
                select name from model
                where model_id in (select value from json_each('[' || model_ids || ']'))
                order by name
            )
        )
    ) as models,
    {{names shown}}
from by_session
