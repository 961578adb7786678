-- One row is a model's standard rates at :at_s (NULL: now), in USD per million tokens; a stronger origin comes later.
-- A rate is NULL where the book has none. Tiers, fast mode and other variants: ccostdb prices show MODEL.
select
    provider,
    model,
    max(nusd_per_million) filter (where kind = 'input') / 1e9 as input_usd_per_million,
    max(nusd_per_million) filter (where kind = 'output') / 1e9 as output_usd_per_million,
    max(nusd_per_million) filter (where kind = 'cache_write_5m') / 1e9 as cache_write_5m_usd_per_million,
    max(nusd_per_million) filter (where kind = 'cache_write_1h') / 1e9 as cache_write_1h_usd_per_million,
    max(nusd_per_million) filter (where kind = 'cache_read') / 1e9 as cache_read_usd_per_million,
    origin
from price
where variant is null
    and above_tokens = 0
    and kind <> 'factor'
    and ifnull(valid_from_s <= ifnull(:at_s, unixepoch()), true)
    and ifnull(valid_to_s > ifnull(:at_s, unixepoch()), true)
group by ordinal
order by provider, model, ordinal
