-- One row is a run of a scheduled job. outcome: ok, failed, killed (the process ended before it did); NULL: it is
-- running, or was killed and no process has been started since. seconds NULL: it has no end. detail NULL: nothing to say.
select
    job,
    {{utc started_ns}} as started_at,
    round((ended_ns - started_ns) / 1e9, 3) as seconds,
    iif(outcome = 'failed' and ended_ns is null, 'killed', outcome) as outcome,
    detail
from job_run
