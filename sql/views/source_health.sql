-- One row is a source. state, outcome, last_run_at (its start), saturation and error are those of its last
-- run; all counts are of all runs. NULL: no run yet, or it has not said; outcome also: running or killed;
-- missing_calls, missing_cost_usd: gaps, all of unknown size.
with last_run as (
    select * from run where run_id in (select max(run_id) from run group by source_id)
),
runs as (
    select
        source_id,
        sum(connections) as connections,
        sum(frames) as frames,
        sum(events) as events,
        sum(rows) as rows,
        sum(rejected) as rejected,
        max(last_event_ns) as last_event_ns
    from run
    group by source_id
),
missing as (
    select source_id, count(*) as gaps, sum(calls) as calls, sum(cost_nusd) as cost_nusd from gap group by source_id
)
select
    name as source,
    kind,
    address,
    counted,
    last_run.state,
    last_run.outcome,
    {{utc last_run.started_ns}} as last_run_at,
    {{utc runs.last_event_ns}} as last_event_at,
    ifnull(runs.connections, 0) as connections,
    ifnull(runs.frames, 0) as frames,
    ifnull(runs.events, 0) as events,
    ifnull(runs.rows, 0) as rows,
    ifnull(runs.rejected, 0) as rejected,
    ifnull(missing.gaps, 0) as gaps,
    iif(missing.gaps, missing.calls, 0) as missing_calls,
    iif(missing.gaps, missing.cost_nusd, 0) / 1e9 as missing_cost_usd,
    last_run.saturation,
    last_run.error
from source
join source_counted using (source_id, kind, name)
left join last_run using (source_id)
left join runs using (source_id)
left join missing using (source_id)
