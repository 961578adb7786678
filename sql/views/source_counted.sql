-- One row is a source and whether its calls belong in totals: as set, else all but a CCO beside Claude
-- Code's own transcripts, which would show the same spend twice. Nothing is NULL.
select
    source_id,
    kind,
    name,
    ifnull(
        counted_setting,
        kind <> 'cco' or not exists (select 1 from source where kind = 'claude-code' and has_calls)
    ) as counted
from source
