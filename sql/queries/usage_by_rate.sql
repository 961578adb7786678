-- One row is calls of counted sources from :from_ns to :to_ns (out; NULL sets no bound) that the same rates price: of one
-- project, model and context, with an input in one tier, in a time without a new price. A call with an advisor is a row
-- of its own. is_reported: cost_nusd is what the source said, else computed; NULL: no such call has a cost. A sum of tokens
-- is NULL where only a total was sent, computed_nusd where no price is known. From `call`: for a day, not for a year.
with edge as materialized (
    select valid_from_s as at_s from price
    where valid_from_s >= ifnull(:from_ns, 0) / 1000000000 and (:to_ns is null or valid_from_s < :to_ns / 1000000000)
    union
    select valid_to_s from price
    where valid_to_s >= ifnull(:from_ns, 0) / 1000000000 and (:to_ns is null or valid_to_s < :to_ns / 1000000000)
),
tier as materialized (
    select distinct above_tokens from price where above_tokens > 0
),
used as (
    select
        *,
        input_tokens + cache_write_5m_tokens + cache_write_1h_tokens + cache_read_tokens as context_tokens,
        reported_nusd is not null as is_reported,
        iif(advisor is null, null, call_id) as call_with_advisor
    from call
    where source_id in (select source_id from source_counted where counted)
        and occurred_ns >= ifnull(:from_ns, 0)
        and occurred_ns < ifnull(:to_ns, 9223372036854775807)
)
select
    (select name from project where project.project_id = used.project_id) as project,
    (select name from model where model.model_id = used.model_id) as model,
    context.speed,
    context.service_tier,
    context.inference_geo,
    max(advisor) as advisor,
    is_reported,
    count(*) as calls,
    min(occurred_ns) as first_ns,
    max(context_tokens) as most_context_tokens,
    sum(input_tokens) as input_tokens,
    sum(output_tokens) as output_tokens,
    sum(cache_write_5m_tokens) as cache_write_5m_tokens,
    sum(cache_write_1h_tokens) as cache_write_1h_tokens,
    sum(cache_read_tokens) as cache_read_tokens,
    sum(web_searches) as web_searches,
    sum(computed_nusd) as computed_nusd,
    sum(ifnull(reported_nusd, computed_nusd)) as cost_nusd
from used
left join context using (context_id)
group by
    used.project_id,
    used.model_id,
    used.context_id,
    (select max(at_s) from edge where at_s <= occurred_ns / 1000000000),
    (select max(above_tokens) from tier where above_tokens < context_tokens),
    context_tokens is null,
    is_reported,
    computed_nusd is null,
    call_with_advisor
