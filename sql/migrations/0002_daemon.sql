-- For people who let ccostdb run: what daemons tell, what it sampled, what its own schedule did, and their budgets.
-- For all: a quicker import.

-- One event of a session daemon (CCD). runtime and payload are JSON text.
create table daemon_event (
    daemon_event_id integer primary key,       -- order of arrival; event ids of one millisecond have none
    source_id       integer not null references source,
    event_id        text    not null unique,   -- given by the daemon
    family          text    not null,
    kind            text    not null,
    profile         text,                      -- NULL: not said; 'unknown' is the daemon's own word
    timestamp       text,                      -- as sent; NULL: not sent
    occurred_ns     integer not null,          -- from timestamp, else when we got it
    is_receipt_time integer not null default 0,
    received_ns     integer not null,
    runtime         text,                      -- NULL: not sent
    payload         text,                      -- NULL: not sent
    is_shortened    integer not null default 0, -- 1: long strings of it are only their length and SHA-256
    content_sha256  blob    not null,          -- of all that was sent: tells a repeat from a conflict
    conflicts       integer not null default 0 -- how often other content came under this id; the first stays
) strict;
create index daemon_event_by_time on daemon_event (occurred_ns);
create index daemon_event_by_kind on daemon_event (kind, occurred_ns);

-- One poll of an endpoint, kept when its answer differs from the last.
create table sample (
    sample_id   integer primary key,
    source_id   integer not null references source,
    endpoint    text    not null,  -- path below the source's address
    polled_ns   integer not null,
    body        text,              -- JSON, lists in a settled order; NULL: an error came instead
    error       text               -- NULL: it answered
) strict;
create index sample_by_endpoint on sample (source_id, endpoint, sample_id);

-- One run of a scheduled job.
create table job_run (
    job_run_id  integer primary key,
    job         text    not null,  -- rollups, prune, optimize, checkpoint, backup, budgets
    started_ns  integer not null,
    ended_ns    integer,           -- NULL: running, or killed
    outcome     text,              -- ok, failed; NULL: running, or killed
    detail      text               -- what it did, or why it failed; NULL: nothing to say
) strict;
create index job_run_by_job on job_run (job, job_run_id);

-- One limit of a [[budget]] of the settings; the writer keeps it in step with them. A filter that is NULL lets all pass.
create table budget (
    budget_id   integer primary key,
    name        text    not null,
    period      text    not null,   -- day, week, month: local ones of the home time zone
    limit_nusd  integer not null,
    models      text,               -- JSON list of names, as the next three
    projects    text,
    agents      text,
    sources     text,
    unique (name, period)
) strict;

-- A threshold of a budget that was crossed: once in a period.
create table budget_alert (
    name          text    not null,
    period        text    not null, -- as in budget
    period_label  text    not null, -- 2026-07-01, 2026-W27, 2026-07
    threshold     real    not null, -- share of the limit, such as 0.8
    crossed_ns    integer not null,
    spent_nusd    integer not null,
    primary key (name, period, period_label, threshold)
) strict, without rowid;

-- How many events a gap stands for, where we dropped them ourselves; NULL: that is not known.
alter table gap add column events integer;

-- As before, but for what a mistake does: it takes the whole transaction back. A trigger that only takes its statement
-- back makes SQLite keep a journal of each statement, a quarter of the time that a new call takes.
drop trigger call_marks_bucket_on_insert;
create trigger call_marks_bucket_on_insert after insert on call
when new.occurred_ns / 900000000000 * 900 not in (select bucket_s from dirty_bucket)
begin
    select raise(rollback, 'a call needs its quarter hour in calendar first')
    where new.occurred_ns / 900000000000 * 900 not in (select bucket_s from calendar);
    insert into dirty_bucket values (new.occurred_ns / 900000000000 * 900);
end;
