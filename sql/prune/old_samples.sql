-- One row is a sample that no longer held at :before_ns: there is a later one of its endpoint that is older than that,
-- too. So the last sample of an endpoint stays, and what was true from :before_ns on can always be said.
select sample_id
from sample
where
    polled_ns < :before_ns
    and exists (
        select 1
        from sample as later
        where
            later.source_id = sample.source_id
            and later.endpoint = sample.endpoint
            and later.sample_id > sample.sample_id
            and later.polled_ns < :before_ns
    )
