-- One row: what the calls of counted sources have cost from the local day :first_day on, as far as a budget's filters let them
-- pass: :models, :projects, :agents and :sources are JSON, as in table `budget`. cost_nusd NULL: no call, or none has a cost.
-- As view `budgets` says, without all that it says beside: the status line asks all the time.
with dirty_day as materialized (
    select distinct day from calendar where bucket_s in (select bucket_s from dirty_bucket)
),
cell as (
    select source_id, model_id, project_id, agent_id, cost_nusd
    from rollup_day
    where day >= :first_day and day not in (select day from dirty_day)
    union all
    select source_id, model_id, project_id, agent_id, cost_nusd
    from dirty_day
    cross join calendar using (day)
    cross join rollup_quarter_hour using (bucket_s)
    where day >= :first_day and bucket_s not in (select bucket_s from dirty_bucket)
    union all
    select source_id, model_id, project_id, agent_id, ifnull(reported_nusd, computed_nusd)
    from dirty_bucket
    cross join calendar using (bucket_s)
    cross join call
        on occurred_ns >= bucket_s * 1000000000 and occurred_ns < (bucket_s + 900) * 1000000000
    where day >= :first_day
)
-- A filter is the beginning of a name where it ends in *, else a name.
select sum(cost_nusd) as cost_nusd
from cell
where source_id in (
        select source_id
        from source_counted
        where counted
            and (
                :sources is null
                or exists (
                    select 1 from json_each(:sources)
                    where value in (
                        iif(substr(value, -1) = '*', substr(name, 1, length(value) - 1) || '*', name),
                        iif(substr(value, -1) = '*', substr(kind, 1, length(value) - 1) || '*', kind)
                    )
                )
            )
    )
    and (:models is null or model_id in (
        select model_id from model, json_each(:models)
        where value = iif(substr(value, -1) = '*', substr(name, 1, length(value) - 1) || '*', name)
    ))
    and (:projects is null or project_id in (
        select project_id from project, json_each(:projects)
        where value = iif(substr(value, -1) = '*', substr(name, 1, length(value) - 1) || '*', name)
    ))
    and (:agents is null or agent_id in (
        select agent_id from agent, json_each(:agents)
        where value = iif(substr(value, -1) = '*', substr(name, 1, length(value) - 1) || '*', name)
    ))
