-- One row is a project on a local day, over the calls of counted sources; project NULL: the calls that name
-- none. A sum is NULL where no call of the row says it.
select
    day,
    (select name from project where project.project_id = daily_usage.project_id) as project,
    {{measures shown}}
from daily_usage
where counted
group by day, project_id
