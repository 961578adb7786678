-- One row is an action for which a session daemon asked leave, or which it refused: it says nothing of what it allows.
-- NULL: not said. decision NULL: the daemon made none; approval_request_id is the caller's.
select
    event_id,
    {{utc occurred_ns}} as asked_at,
    profile,
    payload ->> '$.action_family' as action_family,
    payload ->> '$.decision' as decision,
    payload ->> '$.policy_posture' as policy_posture,
    payload ->> '$.reason_code' as reason_code,
    payload ->> '$.summary' as summary,
    runtime ->> '$.approval_request_id' as approval_request_id,
    payload ->> '$.policy_projection.runtime_constraints.session_lifecycle' as session_lifecycle,
    payload ->> '$.policy_projection.runtime_constraints.session_mode' as session_mode,
    payload ->> '$.project_id' as project_id,
    payload ->> '$.path' as path,
    (select name from source where source.source_id = daemon_event.source_id) as source
from daemon_event
where kind = 'policy_check'
