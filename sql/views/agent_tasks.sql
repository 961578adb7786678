-- One row is a task of CCA in one answer, which held from polled_at to until_at (NULL: it is the last). first_seen_at
-- and last_seen_at are the first and last such answers that have the task; CCA drops it an hour after its end, and all
-- when it restarts. status is one word in lower case; error NULL: none, or not said. What the task put out is not kept,
-- only its length and SHA-256; NULL: nothing yet.
with entry as (
    select
        source,
        polled_at,
        until_at,
        iif(one.type = 'object', one.value, '{}') as task,
        polled_ns
    from samples
    join json_each(ifnull(body, '{}'), '$.tasks') as one
    where endpoint = '/api/v1/tasks' and one.type = 'object'
),
word as (
    select
        *,
        task ->> '$.task_id' as task_id,
        lower(
            case json_type(task, '$.status')
                when 'text' then substr(task ->> '$.status', 1, instr((task ->> '$.status') || '(', '(') - 1)
                when 'object' then (
                    select key from json_each(task, '$.status') where key not in ('characters', 'sha256') limit 1
                )
            end
        ) as status,
        iif(
            json_type(task, '$.status') = 'object',
            (select value from json_each(task, '$.status') where key not in ('characters', 'sha256') limit 1),
            null
        ) as reason
    from entry
)
select
    source,
    polled_at,
    until_at,
    task_id,
    iif(status in ('in_progress', 'inprogress'), 'running', status) as status,
    task ->> '$.status' as status_sent,
    task ->> '$.assigned_agent' as assigned_agent,
    ifnull(task ->> '$.error', reason) as error,
    task ->> '$.output.characters' as output_characters,
    task ->> '$.output.sha256' as output_sha256,
    min(polled_at) over (partition by source, task_id) as first_seen_at,
    max(polled_at) over (partition by source, task_id) as last_seen_at,
    polled_ns
from word
