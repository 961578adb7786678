-- One row is a scheduled job and its last run; ok_ns is when it last ended well, NULL: never. outcome NULL: running, or
-- killed; ended_ns, too. detail NULL: nothing to say.
select
    job,
    started_ns,
    ended_ns,
    outcome,
    detail,
    (select max(ended_ns) from job_run as good where good.job = last.job and outcome = 'ok') as ok_ns
from job_run as last
where job_run_id in (select max(job_run_id) from job_run group by job)
order by job
