-- One row is a limit of a budget in a local day, ISO week or month (period: day, week, month) that has calls which
-- it looks at, of counted sources. spent_usd, left_usd, used_share and spent_nusd NULL: no such call has a cost.
with cell as materialized (
    select
        day,
        source_id,
        model_id,
        project_id,
        agent_id,
        sum(calls) as calls,
        sum(unpriced_calls) as unpriced_calls,
        sum(cost_nusd) as cost_nusd
    from daily_usage
    where counted
    group by day, source_id, model_id, project_id, agent_id
),
-- A filter is the beginning of a name where it ends in *, else a name.
looked_for as materialized (
    select budget_id, 'model' as dimension, value from budget, json_each(models)
    union all
    select budget_id, 'project', value from budget, json_each(projects)
    union all
    select budget_id, 'agent', value from budget, json_each(agents)
    union all
    select budget_id, 'source', value from budget, json_each(sources)
),
named as (
    select 'model' as dimension, model_id as id, name from model
    union all
    select 'project', project_id, name from project
    union all
    select 'agent', agent_id, name from agent
    union all
    select 'source', source_id, name from source
    union all
    select 'source', source_id, kind from source
),
found as materialized (
    select distinct dimension, budget_id, id
    from looked_for
    join named using (dimension)
    where name = value or (substr(value, -1) = '*' and substr(name, 1, length(value) - 1) = substr(value, 1, length(value) - 1))
),
-- Cells of a day that the same limits look at are added up before each of them takes its own.
looked_at as materialized (
    select source_id, model_id, project_id, agent_id, json_group_array(budget_id) as budget_ids
    from (select distinct source_id, model_id, project_id, agent_id from cell)
    cross join budget
    where (models is null or ('model', budget_id, model_id) in found)
        and (projects is null or ('project', budget_id, project_id) in found)
        and (agents is null or ('agent', budget_id, agent_id) in found)
        and (sources is null or ('source', budget_id, source_id) in found)
    group by source_id, model_id, project_id, agent_id
),
alike as materialized (
    select
        day,
        budget_ids,
        sum(calls) as calls,
        sum(unpriced_calls) as unpriced_calls,
        sum(cost_nusd) as cost_nusd
    from cell
    join looked_at using (source_id, model_id, project_id, agent_id)
    group by day, budget_ids
),
by_day as (
    select value as budget_id, day, calls, unpriced_calls, cost_nusd
    from alike
    cross join json_each(budget_ids)
),
by_period as (
    select
        budget_id,
        case period
            when 'day' then day
            when 'week' then (select week from calendar where calendar.day = by_day.day limit 1)
            else substr(day, 1, 7)
        end as period_label,
        sum(calls) as calls,
        sum(unpriced_calls) as unpriced_calls,
        sum(cost_nusd) as spent_nusd
    from by_day
    join budget using (budget_id)
    group by budget_id, period_label
)
select
    name as budget,
    period,
    period_label,
    limit_nusd / 1e9 as limit_usd,
    spent_nusd / 1e9 as spent_usd,
    (limit_nusd - spent_nusd) / 1e9 as left_usd,
    1.0 * spent_nusd / limit_nusd as used_share,
    calls,
    unpriced_calls,
    limit_nusd,
    spent_nusd
from by_period
join budget using (budget_id)
