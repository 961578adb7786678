-- For everyone: the first ledger. Facts are stored once, in STRICT tables; what is derived (costs, rollups, the
-- calendar) can be rebuilt from them. Times are UTC, with their unit in the name. Money is integer nano-USD.
-- Key columns of dimensions are never NULL: id 0 is "none".

-- The file itself: one row.
create table ledger (
    ledger_id      integer primary key check (ledger_id = 1),
    made_at_s      integer not null,
    made_by        text    not null,  -- version of ccostdb that made the file
    home_tz        text    not null,  -- IANA name of the zone of local days
    views_sha256   text,              -- NULL: no views yet
    prices_digest  text               -- NULL: no price book yet
) strict;

-- A configured origin of calls.
create table source (
    source_id        integer primary key,
    kind             text    not null,  -- cco, claude-code, ccd, cca
    name             text    not null,  -- what people see
    address          text    not null,  -- a URL; 'files' for transcripts
    counted_setting  integer,           -- NULL: by rule (view source_counted)
    has_calls        integer not null default 0,
    unique (kind, address)
) strict;

-- One source in one process. Updated with its commits.
create table run (
    run_id       integer primary key,
    source_id    integer not null references source,
    started_ns   integer not null,
    updated_ns   integer not null,
    ended_ns     integer,            -- NULL: running, or killed
    outcome      text,               -- ok, no_data, failed, stopped; NULL: running, or killed
    state        text,               -- connecting, connected, reading, disconnected, error; NULL: never started
    connections  integer not null default 0,
    frames       integer not null default 0,
    events       integer not null default 0,
    rows         integer not null default 0,
    rejected     integer not null default 0,
    saturation   real,               -- most new events in one frame / window; NULL: no such thing here
    last_event_ns integer,           -- NULL: none yet
    error        text                -- NULL: none
) strict;
create index run_by_source on run (source_id, run_id);

-- How far one thing has been read: a file, or a stream (name '').
create table position (
    position_id   integer primary key,
    source_id     integer not null references source,
    name          text    not null,   -- path of the file; '' for a stream
    device        integer,            -- NULL for a stream, as all below but state
    inode         integer,
    size_bytes    integer,
    mtime_ns      integer,
    offset_bytes  integer,            -- just after the last newline that was read
    head_bytes    integer,            -- how much of the start head_sha256 covers
    head_sha256   blob,
    first_mtime_ns integer,           -- mtime when first seen: which file is the older
    tail_sha256   blob,               -- of the last bytes before offset_bytes; NULL also: not read to its end yet
    is_current    integer not null default 1, -- 0: an earlier content of that path, kept because calls point to it
    state         text                -- JSON of a stream's window; NULL for a file
) strict;
create index position_by_source on position (source_id, name);

-- A repeated text, interned once.
create table model (model_id integer primary key, name text not null unique, provider text) strict; -- provider NULL: unknown
create table project (project_id integer primary key, name text not null unique) strict;
create table agent (agent_id integer primary key, name text not null unique) strict;
create table session (session_id integer primary key, name text not null unique) strict;

-- The circumstances of a request, a combination interned once. NULL: not said.
create table context (
    context_id     integer primary key,
    speed          text,
    service_tier   text,
    inference_geo  text,
    entrypoint     text,
    version        text,
    git_branch     text
) strict;

-- A quarter hour that has calls, in the home time zone.
create table calendar (
    bucket_s  integer primary key,   -- start of the quarter hour, UTC
    hour      text not null,         -- 2026-07-01T14:00+02:00
    day       text not null,         -- 2026-07-01
    week      text not null,         -- 2026-W27 (ISO)
    month     text not null          -- 2026-07
) strict;
create index calendar_by_day on calendar (day);

-- One model call, whichever source saw it.
create table call (
    call_id               text primary key not null,
    source_id             integer not null references source,
    occurred_ns           integer not null,            -- earliest line of the message
    is_receipt_time       integer not null default 0,  -- 1: no readable time was sent; occurred_ns is when we got it
    model_id              integer not null default 0,
    project_id            integer not null default 0,
    agent_id              integer not null default 0,
    session_id            integer not null default 0,
    context_id            integer not null default 0,
    agent_instance        text,                        -- the agent's own id; NULL on the main thread
    is_sidechain          integer,                     -- NULL: the source does not say
    input_tokens          integer,                     -- without cache tokens; NULL: only a total was sent
    output_tokens         integer,
    cache_write_5m_tokens integer,
    cache_write_1h_tokens integer,
    cache_read_tokens     integer,
    total_tokens          integer,                     -- NULL: not sent
    web_searches          integer,                     -- NULL: not sent
    advisor               text,                        -- JSON list of extra billed iterations; NULL: none
    latency_ms            integer,
    status                text,                        -- success, error; NULL: not said
    is_response_cache_hit integer not null default 0,
    reported_nusd         integer,                     -- what the source said; NULL: nothing
    reported_text         text,                        -- the same, as sent
    computed_nusd         integer,                     -- from our price book; NULL: no price known
    uncached_nusd         integer,                     -- the same call without caching; NULL: unknown
    request_id            text,
    -- which record won, and whose session it is (the rules: ccostdb/ledger.py)
    record_rank           integer not null default 0,
    position_id           integer not null default 0,
    position_offset       integer not null default 0,
    is_copied             integer not null default 0,  -- 1: only seen in files that copied it
    origin_position_id    integer not null default 0,
    origin_offset         integer not null default 0,
    rivals                text                         -- JSON of equal records in other files; NULL: none
) strict;
create index call_by_time on call (occurred_ns);
create index call_with_two_costs on call (occurred_ns) where reported_nusd <> computed_nusd; -- view cost_differences

-- A quarter hour whose calls changed since the last refresh. One that is here has its row in calendar.
create table dirty_bucket (bucket_s integer primary key) strict;

create trigger call_marks_bucket_on_insert after insert on call
when new.occurred_ns / 900000000000 * 900 not in (select bucket_s from dirty_bucket)
begin
    select raise(abort, 'a call needs its quarter hour in calendar first')
    where new.occurred_ns / 900000000000 * 900 not in (select bucket_s from calendar);
    insert into dirty_bucket values (new.occurred_ns / 900000000000 * 900);
end;
create trigger call_marks_bucket_on_update after update on call
begin
    select raise(abort, 'a call needs its quarter hour in calendar first')
    where new.occurred_ns / 900000000000 * 900 not in (select bucket_s from calendar);
    insert into dirty_bucket values (old.occurred_ns / 900000000000 * 900), (new.occurred_ns / 900000000000 * 900)
    on conflict do nothing; -- not "or ignore": an upsert that fires this trigger would overrule it
end;
create trigger call_marks_bucket_on_delete after delete on call
begin
    insert into dirty_bucket values (old.occurred_ns / 900000000000 * 900) on conflict do nothing;
end;

-- One event of CCO's activity list, its eight fields as sent, and normalised.
create table activity (
    activity_id  integer primary key,
    source_id    integer not null references source,
    epoch        integer not null,   -- which boot of the server, as we counted them
    seq          integer not null,   -- place in the event sequence of that boot
    timestamp    text,
    occurred_ns  integer not null,   -- from timestamp, else when we got it
    is_receipt_time integer not null default 0,
    event_type   text,
    agent_name   text,
    model        text,
    tokens       integer,
    latency_ms   integer,
    status       text,
    cost_text    text,               -- as sent
    cost_nusd    integer,
    raw          text,               -- the element's JSON where the columns do not say it all; NULL: they do
    unique (source_id, epoch, seq)
) strict;
create index activity_by_time on activity (occurred_ns);

-- CCO's cumulative counters, when they changed.
create table snapshot (
    snapshot_id     integer primary key,
    source_id       integer not null references source,
    received_ns     integer not null,
    last_updated_ns integer,
    uptime_s        integer,
    calls           integer,
    cost_text       text,
    cost_nusd       integer,
    models          text             -- JSON of a flat-stats body; NULL: not such a body
) strict;

-- What is provably missing.
create table gap (
    gap_id       integer primary key,
    source_id    integer not null references source,
    epoch        integer not null,
    kind         text    not null,   -- overflow, attach, restart, excess
    from_ns      integer,            -- NULL: unknown
    to_ns        integer not null,
    calls        integer,            -- NULL: unknown (restart)
    cost_nusd    integer,            -- NULL: unknown (restart)
    detected_ns  integer not null
) strict;

-- A frame or element that could not be understood.
create table rejected (
    rejected_id  integer primary key,
    source_id    integer not null references source,
    at_ns        integer not null,
    place        text,               -- file:offset, once each; NULL for a stream, where what is alike is one row
    reason       text not null,
    excerpt      text,               -- bounded; NULL: nothing that may be kept
    times        integer not null default 1
) strict;
create unique index rejected_once on rejected (source_id, place) where place is not null;
create unique index rejected_alike on rejected (source_id, reason, ifnull(excerpt, '')) where place is null;

-- A dated rate. Rates of one ordinal are one entry: a model of genai-prices, or one [[price]]. The first entry of
-- genai-prices that matches a model's name is its base; overlay and user entries lie over it, the later the stronger.
create table price (
    price_id         integer primary key,
    origin           text    not null,  -- genai-prices, overlay, user
    provider         text,              -- NULL: whoever bills the model
    model            text    not null,  -- the price book's own id of the model; the clause where an entry has none
    match            text    not null,  -- JSON clause tree that a model name must satisfy
    kind             text    not null,  -- input, output, cache_write_5m, cache_write_1h, cache_read, web_search; factor
    variant          text,              -- speed=fast, geo=us; NULL: the standard rate
    above_tokens     integer not null default 0, -- holds when the request's input (with cache) is above this
    valid_from_s     integer,           -- NULL: always
    valid_to_s       integer,           -- first second that is out; NULL: still
    nusd_per_million integer,           -- per million tokens or searches; of a factor, millionths; NULL: it has a price
                                        -- that cannot be said here, so it stays unpriced (note says why)
    ordinal          integer not null,  -- the order in which matches are tried
    source_url       text,              -- NULL: not said
    checked_on       text,              -- NULL: not said
    note             text               -- NULL: nothing to say
) strict;

-- Sums by quarter hour (UTC). The measures are those of sql/rollups/measures.sql; one is NULL where no call of the cell says it.
create table rollup_quarter_hour (
    bucket_s                  integer not null,
    source_id                 integer not null,
    model_id                  integer not null,
    project_id                integer not null,
    agent_id                  integer not null,
    session_id                integer not null,
    calls                     integer not null,
    errors                    integer not null,
    unpriced_calls            integer not null,
    unsplit_calls             integer not null,
    response_cache_hits       integer not null,
    input_tokens              integer,
    output_tokens             integer,
    cache_write_5m_tokens     integer,
    cache_write_1h_tokens     integer,
    cache_read_tokens         integer,
    total_tokens              integer,
    cost_nusd                 integer,
    uncached_cost_nusd        integer,
    savings_nusd              integer,
    reported_cost_nusd        integer,
    computed_cost_nusd        integer,
    unreported_calls          integer not null,
    uncomputed_calls          integer not null,
    response_cache_hit_tokens integer,
    paid_tokens               integer,
    paid_cost_nusd            integer,
    latency_ms_sum            integer,
    latency_ms_count          integer not null,
    latency_ms_max            integer,
    first_ns                  integer not null,
    last_ns                   integer not null,
    primary key (bucket_s, source_id, model_id, project_id, agent_id, session_id)
) strict, without rowid;

-- The same by local day of the home time zone, added up from the quarter hours.
create table rollup_day (
    day                       text not null,
    source_id                 integer not null,
    model_id                  integer not null,
    project_id                integer not null,
    agent_id                  integer not null,
    session_id                integer not null,
    calls                     integer not null,
    errors                    integer not null,
    unpriced_calls            integer not null,
    unsplit_calls             integer not null,
    response_cache_hits       integer not null,
    input_tokens              integer,
    output_tokens             integer,
    cache_write_5m_tokens     integer,
    cache_write_1h_tokens     integer,
    cache_read_tokens         integer,
    total_tokens              integer,
    cost_nusd                 integer,
    uncached_cost_nusd        integer,
    savings_nusd              integer,
    reported_cost_nusd        integer,
    computed_cost_nusd        integer,
    unreported_calls          integer not null,
    uncomputed_calls          integer not null,
    response_cache_hit_tokens integer,
    paid_tokens               integer,
    paid_cost_nusd            integer,
    latency_ms_sum            integer,
    latency_ms_count          integer not null,
    latency_ms_max            integer,
    first_ns                  integer not null,
    last_ns                   integer not null,
    primary key (day, source_id, model_id, project_id, agent_id, session_id)
) strict, without rowid;
