-- Adds the counts of runs that are about to go (:run_ids, a JSON list) to the first run of their source, so that the
-- sums over all runs stay what they are. Its outcome then is 'folded', and it ends with the last of them.
with gone as (
    select
        source_id,
        sum(connections) as connections,
        sum(frames) as frames,
        sum(events) as events,
        sum(rows) as rows,
        sum(rejected) as rejected,
        max(updated_ns) as updated_ns,
        max(saturation) as saturation,
        max(last_event_ns) as last_event_ns
    from run
    where run_id in (select value from json_each(:run_ids))
    group by source_id
)
update run set
    connections = run.connections + gone.connections,
    frames = run.frames + gone.frames,
    events = run.events + gone.events,
    rows = run.rows + gone.rows,
    rejected = run.rejected + gone.rejected,
    updated_ns = max(run.updated_ns, gone.updated_ns),
    ended_ns = max(run.updated_ns, gone.updated_ns),
    saturation = max(ifnull(run.saturation, gone.saturation), ifnull(gone.saturation, run.saturation)),
    last_event_ns = max(ifnull(run.last_event_ns, gone.last_event_ns), ifnull(gone.last_event_ns, run.last_event_ns)),
    outcome = 'folded',
    state = null,
    error = null
from gone
where run.source_id = gone.source_id and run.run_id in (select min(run_id) from run group by source_id)
