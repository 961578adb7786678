-- One row is a source with a run above :after_run_id (NULL: any run), and how its last one goes. The counts are of all
-- these runs. NULL: it has not said; outcome also: running or killed.
with process_run as (
    select * from run where run_id > ifnull(:after_run_id, 0)
),
counted_run as (
    select
        source_id,
        max(run_id) as run_id,
        sum(connections) as connections,
        sum(frames) as frames,
        sum(events) as events,
        max(last_event_ns) as last_event_ns
    from process_run
    group by source_id
)
select
    name as source,
    kind,
    state,
    outcome,
    error,
    saturation,
    updated_ns,
    counted_run.connections,
    counted_run.frames,
    counted_run.events,
    counted_run.last_event_ns,
    (select max(last_event_ns) from run where run.source_id = source.source_id) as newest_event_ns -- of any run
from counted_run
join process_run using (run_id)
join source on source.source_id = counted_run.source_id
order by name
