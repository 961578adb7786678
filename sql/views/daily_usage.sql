-- One row is a cell: the calls of one local day, source, model, project, agent and session (id 0: none). It
-- may come in several rows, to be added up: clean days from rollup_day, clean quarter hours of the other
-- days from theirs, dirty ones from `call`. counted says whether the source belongs in totals. A measure is
-- NULL where no call of the cell says it.
with dirty_day as materialized (
    select distinct day from calendar where bucket_s in (select bucket_s from dirty_bucket)
),
cell as (
    select
        {{key}},
        {{measures}}
    from rollup_day
    where day not in (select day from dirty_day)
    {{grouped}}
    union all
    select
        {{key}},
        {{measures}}
    from dirty_day
    cross join calendar using (day)
    cross join rollup_quarter_hour using (bucket_s)
    where bucket_s not in (select bucket_s from dirty_bucket)
    {{grouped}}
    union all
    select
        {{key}},
        {{measures from call}}
    from dirty_bucket
    cross join calendar using (bucket_s)
    cross join call
        on occurred_ns >= bucket_s * 1000000000 and occurred_ns < (bucket_s + 900) * 1000000000
    group by {{key}}
)
select cell.*, source_id in (select source_id from source_counted where counted) as counted from cell
