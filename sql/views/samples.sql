-- One row is an answer of an endpoint that is asked again and again, kept when it differed from the one before.
-- until_at is when the next that differed came; NULL: this is the last. body is JSON, where a text that is not
-- kept is its length and SHA-256; NULL: an error came instead. error NULL: it answered.
select
    sample_id,
    (select name from source where source.source_id = sample.source_id) as source,
    endpoint,
    {{utc polled_ns}} as polled_at,
    (
        select {{utc later.polled_ns}}
        from sample as later
        where later.source_id = sample.source_id
            and later.endpoint = sample.endpoint
            and later.sample_id > sample.sample_id
        order by later.sample_id
        limit 1
    ) as until_at,
    iif(json_valid(body), body, null) as body,
    error,
    polled_ns
from sample
