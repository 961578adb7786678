-- One row is a source, how many gaps it has, and how often something of it could not be understood.
select
    name as source,
    (select count(*) from gap where gap.source_id = source.source_id) as gaps,
    (select ifnull(sum(times), 0) from rejected where rejected.source_id = source.source_id) as rejected
from source
order by name
