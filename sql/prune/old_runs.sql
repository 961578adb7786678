-- One row is a run of a source that ended before :before_ns. The last of each source stays, and the first, which
-- keeps the counts of those that go.
select run_id
from run
where
    updated_ns < :before_ns
    and run_id not in (select max(run_id) from run group by source_id)
    and run_id not in (select min(run_id) from run group by source_id)
