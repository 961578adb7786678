-- One row is a change that a session daemon wrote to its memory to make it smaller. NULL: not said. requires_reconciler
-- is 1 or 0.
select
    event_id,
    {{utc occurred_ns}} as occurred_at,
    profile,
    payload ->> '$.mode' as mode,
    payload ->> '$.scope' as scope,
    payload ->> '$.governance.action' as action,
    payload ->> '$.governance.status' as governance_status,
    payload ->> '$.governance.requires_reconciler' as requires_reconciler,
    payload ->> '$.governance.entry_type' as entry_type,
    payload ->> '$.proposal.selected_id' as entry_id,
    payload ->> '$.proposal.target_decay_class' as decay_class,
    payload ->> '$.write_result.status' as write_status,
    payload ->> '$.write_result.file_action' as file_action,
    payload ->> '$.staged_write.outcome' as staged_outcome,
    ifnull(payload ->> '$.write_result.path', payload ->> '$.memory_file.path') as memory_file,
    payload ->> '$.project_id' as project_id,
    payload ->> '$.path' as path,
    (select name from source where source.source_id = daemon_event.source_id) as source
from daemon_event
where kind = 'compact_memory'
