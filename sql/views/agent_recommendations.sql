-- One row is a piece of advice of CCA on an agent's tokens in one answer, which held from polled_at to until_at (NULL:
-- it is the last). potential_savings_tokens is CCA's guess; NULL: not sent, or no number.
with entry as (
    select
        source,
        polled_at,
        until_at,
        iif(one.type = 'object', one.value, '{}') as advice,
        polled_ns
    from samples
    join json_each(ifnull(body, '{}'), '$.recommendations') as one
    where endpoint = '/api/v1/tokens/recommendations' and one.type = 'object'
)
select
    source,
    polled_at,
    until_at,
    advice ->> '$.agent_id' as agent_id,
    advice ->> '$.category' as category,
    advice ->> '$.severity' as severity,
    advice ->> '$.message' as message,
    {{whole advice potential_savings}} as potential_savings_tokens,
    polled_ns
from entry
