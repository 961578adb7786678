-- The calls of some ids, in the order of model.call_of_row: usage, words, whose it is; names in place of ids (NULL: none).
select
    call.call_id, call.occurred_ns, call.is_receipt_time,
    call.input_tokens, call.output_tokens, call.cache_write_5m_tokens, call.cache_write_1h_tokens, call.cache_read_tokens,
    call.web_searches, context.speed, context.service_tier, context.inference_geo, call.advisor,
    model.name, agent.name, call.agent_instance, call.is_sidechain, call.status, call.request_id,
    context.entrypoint, context.version, context.git_branch, call.reported_text, call.reported_nusd,
    project.name, session.name, call.total_tokens, call.computed_nusd, call.uncached_nusd,
    call.record_rank, call.position_id, call.position_offset, call.is_copied, call.origin_position_id, call.origin_offset,
    call.rivals, call.latency_ms, call.is_response_cache_hit
from call
left join model using (model_id)
left join project using (project_id)
left join agent using (agent_id)
left join session using (session_id)
left join context using (context_id)
where call.call_id in (?)
