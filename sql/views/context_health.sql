-- One row is what a context check, a checkpoint or a closeout of a session daemon said of its session's context.
-- is_throttled 1: it did not look, so band is NULL, whatever placeholder was sent. NULL: not said. Costs are the daemon's
-- own estimates, cumulative within a session or a focus item: they belong beside the ledger and must not be added up.
with told as (
    select
        *,
        ifnull(payload ->> '$.context_health.source' = 'throttled', 0)
            or ifnull(payload ->> '$.throttle.suppressed' = 1, 0) as is_throttled
    from daemon_event
    where kind in ('evaluate_context_refresh', 'evaluate_checkpoint', 'evaluate_closeout')
        and (kind = 'evaluate_context_refresh' or json_type(payload, '$.context_health') = 'object')
)
select
    event_id,
    {{utc occurred_ns}} as occurred_at,
    profile,
    case kind
        when 'evaluate_closeout' then 'closeout'
        when 'evaluate_checkpoint' then 'checkpoint'
        else 'context check'
    end as type,
    payload ->> '$.session_state.session_id' as session_id,
    payload ->> '$.session_state.actor_id' as actor_id,
    iif(is_throttled, null, payload ->> '$.context_health.band') as band,
    is_throttled,
    payload ->> '$.context_health.confidence' as confidence,
    payload ->> '$.context_health.recommendation' as recommendation,
    payload ->> '$.context_health.context_used_pct' as context_used_pct,
    payload ->> '$.context_health.degradation_risk_pct' as degradation_risk_pct,
    payload ->> '$.context_health.signals.host_total_tokens' as host_total_tokens,
    payload ->> '$.context_health.signals.host_context_window_tokens' as host_context_window_tokens,
    payload ->> '$.context_health.signals.session_minutes' as session_minutes,
    payload ->> '$.context_health.signals.compacted' as is_compacted,
    payload ->> '$.trigger' as trigger,
    payload ->> '$.urgency' as urgency,
    payload ->> '$.reason' as reason,
    payload ->> '$.context_health.cost.status' as cost_status,
    payload ->> '$.context_health.cost.model' as cost_model,
    {{number payload context_health.cost.session_estimate_usd}} as session_cumulative_cost_usd_estimate,
    {{number payload context_health.cost.focus_item_estimate_usd}} as focus_item_cumulative_cost_usd_estimate,
    payload ->> '$.context_health.cost.session_warn_threshold_usd' as session_warn_threshold_usd,
    payload ->> '$.context_health.cost.focus_item_warn_threshold_usd' as focus_item_warn_threshold_usd,
    json_array_length(payload, '$.context_health.cost.alerts') as cost_alerts,
    payload ->> '$.project_id' as project_id,
    payload ->> '$.path' as path,
    (select name from source where source.source_id = told.source_id) as source
from told
