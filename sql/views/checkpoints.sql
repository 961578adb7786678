-- One row is a checkpoint or a closeout of a session daemon. NULL: not said. can_clear_session and the next three are
-- 1 or 0; failed_checks is said by closeouts only.
select
    event_id,
    {{utc occurred_ns}} as occurred_at,
    profile,
    iif(kind = 'evaluate_closeout', 'closeout', 'checkpoint') as type,
    payload ->> '$.session_state.session_id' as session_id,
    payload ->> '$.session_state.actor_id' as actor_id,
    payload ->> '$.handoff.title' as title,
    payload ->> '$.session_boundary.action' as boundary_action,
    payload ->> '$.session_boundary.summary' as boundary_summary,
    payload ->> '$.decisions.recommended_next_command' as recommended_next_command,
    payload ->> '$.decisions.can_clear_session' as can_clear_session,
    payload ->> '$.decisions.needs_full_handover' as needs_full_handover,
    payload ->> '$.decisions.requires_human_choice' as requires_human_choice,
    payload ->> '$.decisions.safe_clean_close' as safe_clean_close,
    payload ->> '$.behavioral_drift.status' as drift_status,
    payload ->> '$.context_health.band' as context_band,
    payload ->> '$.evaluation.wrap_up.status' as wrap_up_status,
    payload ->> '$.escalation.blocking_count' as blocking_escalations,
    payload ->> '$.repo_native_checks.failures' as failed_checks,
    payload ->> '$.git.branch' as git_branch,
    payload ->> '$.git.head' as git_head,
    payload ->> '$.project_id' as project_id,
    payload ->> '$.path' as path,
    (select name from source where source.source_id = daemon_event.source_id) as source
from daemon_event
where kind in ('evaluate_checkpoint', 'evaluate_closeout')
