-- The next 5,000 calls after rowid :after whose tokens are split by kind: what their price follows from, and what it is.
select
    call.rowid, occurred_ns, model.name, computed_nusd, uncached_nusd,
    input_tokens, output_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens,
    web_searches, speed, service_tier, inference_geo, advisor
from call
left join model using (model_id)
left join context using (context_id)
where call.rowid > :after and input_tokens is not null
order by call.rowid
limit 5000
