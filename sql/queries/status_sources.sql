-- One row is a source that ever answered, or that has a run since :started_at (NULL: no process runs). NULL: as in
-- source_health.
select source, kind, state, outcome, last_event_at, frames, rejected, gaps, error
from source_health
where rows > 0 or frames > 0 or connections > 0 or last_run_at >= ?1
order by source
