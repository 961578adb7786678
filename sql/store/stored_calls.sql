-- The calls of some ids, with the columns of model.Call: names in place of ids (NULL: none).
select
    call.call_id, call.occurred_ns, call.is_receipt_time, call.agent_instance, call.is_sidechain,
    call.input_tokens, call.output_tokens, call.cache_write_5m_tokens, call.cache_write_1h_tokens, call.cache_read_tokens,
    call.total_tokens, call.web_searches, call.advisor, call.latency_ms, call.status, call.is_response_cache_hit,
    call.reported_nusd, call.reported_text, call.computed_nusd, call.uncached_nusd, call.request_id,
    call.record_rank, call.position_id, call.position_offset, call.is_copied, call.origin_position_id, call.origin_offset,
    call.rivals,
    model.name as model, model.provider as provider, project.name as project, agent.name as agent, session.name as session,
    context.speed, context.service_tier, context.inference_geo, context.entrypoint, context.version, context.git_branch
from call
left join model using (model_id)
left join project using (project_id)
left join agent using (agent_id)
left join session using (session_id)
left join context using (context_id)
where call.call_id in (?)
