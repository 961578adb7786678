-- One row is a session of a session daemon in one profile. NULL: not said, or not heard. last_heartbeat_at and
-- lease_expires_at are the latest, actor_id and current_activity those of the latest event that says them. start_count is
-- how often it was started, as the daemon counts. A session that took over another names it as prior_session_id; the other
-- has end_type 'takeover'. clear_session names no session: it ends the one that spoke last in the same profile, state file
-- and actor, where nothing else was cleared since. A session that spoke again after its end has none. Without an end it may
-- be running, or its end was not heard.
with told as (
    select
        daemon_event_id,
        source_id,
        kind,
        profile,
        occurred_ns,
        iif(json_type(payload, '$.session_id') = 'text', payload ->> '$.session_id', null) as session_id,
        payload ->> '$.path' as path,
        payload ->> '$.actor_id' as actor_id,
        payload ->> '$.supervisor_id' as supervisor_id,
        payload ->> '$.owner_kind' as owner_kind,
        payload ->> '$.lifecycle' as lifecycle,
        payload ->> '$.mode' as mode,
        payload ->> '$.current_activity' as current_activity,
        payload ->> '$.prior_session_id' as prior_session_id,
        payload ->> '$.prior_actor_id' as prior_actor_id,
        payload ->> '$.reason' as reason,
        {{whole payload start_count}} as start_count,
        {{whole payload started_at_epoch_s}} as started_s,
        {{whole payload last_heartbeat_at_epoch_s}} as heartbeat_s,
        {{whole payload lease_expires_at_epoch_s}} as lease_s
    from daemon_event
    where kind in ('start_session', 'heartbeat_session', 'takeover_session')
        or (kind = 'clear_session' and payload ->> '$.cleared' = 1)
),
placed as (
    select
        kind,
        profile,
        occurred_ns,
        reason,
        lag(session_id) over (partition by profile, path, actor_id order by occurred_ns, daemon_event_id) as cleared_session_id
    from told
    where session_id is not null or kind = 'clear_session'
),
ends as (
    select profile, cleared_session_id as session_id, occurred_ns, 'clear' as type, reason
    from placed
    where kind = 'clear_session'
    union all
    select profile, prior_session_id, occurred_ns, 'takeover', reason from told where kind = 'takeover_session'
),
last_end as (
    select profile, session_id, max(occurred_ns) as ended_ns, type, reason
    from ends
    where session_id is not null
    group by profile, session_id
),
last_activity as (
    select profile, session_id, max(occurred_ns), current_activity
    from told
    where session_id is not null and current_activity is not null
    group by profile, session_id
),
last_actor as (
    select profile, session_id, max(occurred_ns), actor_id
    from told
    where session_id is not null and actor_id is not null
    group by profile, session_id
),
sums as (
    select
        profile,
        session_id,
        max(source_id) as source_id,
        max(supervisor_id) as supervisor_id,
        max(owner_kind) as owner_kind,
        max(lifecycle) as lifecycle,
        max(mode) as mode,
        min(started_s) as started_s,
        min(iif(kind in ('start_session', 'takeover_session'), occurred_ns, null)) / 1000000 / 1000.0 as began_s,
        max(start_count) as start_count,
        count(*) filter (where kind = 'heartbeat_session') as heartbeats,
        max(heartbeat_s) as heartbeat_s,
        max(lease_s) as lease_s,
        count(*) filter (where kind = 'takeover_session') as takeovers,
        max(prior_session_id) as prior_session_id,
        max(prior_actor_id) as prior_actor_id,
        max(iif(kind = 'clear_session', null, occurred_ns)) as spoke_ns
    from told
    where session_id is not null
    group by profile, session_id
)
select
    sums.session_id,
    sums.profile,
    actor_id,
    supervisor_id,
    owner_kind,
    lifecycle,
    mode,
    strftime('%Y-%m-%dT%H:%M:%fZ', ifnull(started_s, began_s), 'unixepoch') as started_at,
    start_count,
    heartbeats,
    strftime('%Y-%m-%dT%H:%M:%fZ', heartbeat_s, 'unixepoch') as last_heartbeat_at,
    current_activity,
    strftime('%Y-%m-%dT%H:%M:%fZ', lease_s, 'unixepoch') as lease_expires_at,
    takeovers,
    prior_session_id,
    prior_actor_id,
    {{utc ended_ns}} as ended_at,
    last_end.type as end_type,
    last_end.reason as end_reason,
    (select name from source where source.source_id = sums.source_id) as source
from sums
left join last_actor on last_actor.session_id = sums.session_id and last_actor.profile is sums.profile
left join last_activity on last_activity.session_id = sums.session_id and last_activity.profile is sums.profile
left join last_end
    on last_end.session_id = sums.session_id and last_end.profile is sums.profile and ended_ns >= ifnull(spoke_ns, 0)
