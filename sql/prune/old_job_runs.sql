-- One row is a run of a job that began before :before_ns. The last of each job stays, and the last that went well: a
-- nightly job that was missed is known by it.
select job_run_id
from job_run
where
    started_ns < :before_ns
    and job_run_id not in (select max(job_run_id) from job_run group by job)
    and job_run_id not in (select max(job_run_id) from job_run where outcome = 'ok' group by job)
