-- One row is a reason for which a source's frames or elements were rejected, and how often.
select
    (select name from source where source.source_id = rejected.source_id) as source,
    reason,
    sum(times) as times
from rejected
group by source_id, reason
order by source, times desc
