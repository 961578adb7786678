-- One row is a cell: the calls of one quarter hour, source, model, project, agent and session (id 0: none),
-- with its local hour and day: clean quarter hours from rollup_quarter_hour, dirty ones from `call`. counted
-- says whether the source belongs in totals. A measure is NULL where no call of the cell says it.
with cell as (
    select
        hour, {{key}},
        {{measures}}
    from calendar
    cross join rollup_quarter_hour using (bucket_s)
    where bucket_s not in (select bucket_s from dirty_bucket)
    {{grouped}}
    union all
    select
        hour, {{key}},
        {{measures from call}}
    from dirty_bucket
    cross join calendar using (bucket_s)
    cross join call
        on occurred_ns >= bucket_s * 1000000000 and occurred_ns < (bucket_s + 900) * 1000000000
    group by bucket_s, {{key}}
)
select cell.*, source_id in (select source_id from source_counted where counted) as counted from cell
