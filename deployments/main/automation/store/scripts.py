"""The scripts that Redis runs for `RedisRuns`: each decision and its writes are one of them.

    autobot:main:run:ID            a hash: automation, state, created, ended, token, held, seq,
                                   asks (how many), ask:NAME (each that was asked), ending (it was
                                   asked to), jumped (it left the line to end), most and kept (how
                                   many are kept, for how long), taken (its id, until then)
    autobot:main:run:ID:log        the journal, a stream: SEQ-0 -> t (token), a (instant), b (body)
    autobot:main:run:ID:blobs      a hash: name -> bytes
    autobot:main:runs:due          a sorted set by the instant they fall due
    autobot:main:runs:all          a sorted set by creation, and so for one automation or state:
    autobot:main:runs:of:AUTOMATION, autobot:main:runs:in:STATE
    autobot:main:runs:line:AUTOMATION  a sorted set by creation: those that wait for their turn
    autobot:main:runs:held         the automations on hold
    autobot:main:runs:parked:AUTOMATION  a sorted set by the instant they fell due: its runs that
                                   may not begin
    autobot:main:runs:ended:of:AUTOMATION  a sorted set by end
    autobot:main:runs:ends         a sorted set by end: those whose end is not acknowledged
    autobot:main:runs:going        a sorted set of the others that have ended, by the instant they
                                   may be deleted
    autobot:main:gone:ID           a deleted run's id is taken as long as this key lives
    autobot:main:fires             a sorted set: schedule -> its next instant
    autobot:main:fires:revisions   a hash: schedule, or / and an automation that was put on hold or
                                   let go -> the greatest revision that did

Instants are Redis' own, in milliseconds. Scripts name their keys themselves: a claim cannot know
them before. So this is for one Redis and not for Redis Cluster.
"""

COMMON = """
local P = 'autobot:main:'
local call = redis.call
local function clock()
    local t = call('TIME')
    return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function hash(id) return P .. 'run:' .. id end
local function log(id) return P .. 'run:' .. id .. ':log' end
local function blobs(id) return P .. 'run:' .. id .. ':blobs' end
local DUE, ALL, FIRES = P .. 'runs:due', P .. 'runs:all', P .. 'fires'
local GOING, HELD, REVISIONS = P .. 'runs:going', P .. 'runs:held', P .. 'fires:revisions'
local ENDS = P .. 'runs:ends'
local function gone(id) return P .. 'gone:' .. id end
local function parked(automation) return P .. 'runs:parked:' .. automation end
local function of(automation) return P .. 'runs:of:' .. automation end
local function over(automation) return P .. 'runs:ended:of:' .. automation end
local function line(automation) return P .. 'runs:line:' .. automation end
local function state_set(state) return P .. 'runs:in:' .. state end
local ENDED = {succeeded = true, failed = true, cancelled = true}

local function add(id, seq, token, at, bodies, first)
    for i = first, #bodies do
        call('XADD', log(id), seq .. '-0', 't', token, 'a', at, 'b', bodies[i])
        seq = seq + 1
    end
    return seq - 1
end

local function enter(id, state, now)
    local have = call('HMGET', hash(id), 'state', 'created', 'automation')
    if have[1] == state then return end
    if have[1] then call('ZREM', state_set(have[1]), id) end
    call('HSET', hash(id), 'state', state)
    call('ZADD', state_set(state), have[2], id)
    if ENDED[state] then
        local most = call('HGET', hash(id), 'most')
        call('HSET', hash(id), 'ended', now)
        call('ZREM', DUE, id)
        call('ZADD', ENDS, now, id)
        call('ZADD', over(have[3]), now, id)
        local surplus = call('ZCARD', over(have[3])) - most
        if surplus > 0 then
            local first = math.max(0, surplus - 1000)
            for _, old in ipairs(call('ZRANGE', over(have[3]), first, surplus - 1)) do
                call('HSET', hash(old), 'kept', 0)
                call('ZADD', GOING, 'XX', 'LT', now, old)
            end
        end
        if call('HEXISTS', hash(id), 'jumped') == 0 then  -- else it had no place to give
            local following = call('ZPOPMIN', line(have[3]))[1]
            if following then call('ZADD', DUE, now, following) end
        end
    end
end

local function taken(id)
    return call('EXISTS', hash(id), gone(id)) > 0
end

-- ARGV from i: id, automation, due, most, running, most kept, kept for, taken for, blobs of, then
-- the bodies
local function create(i)
    local id, automation, due = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
    if taken(id) then return 'there' end
    local open = call('ZCARD', of(automation)) - call('ZCARD', over(automation))
    if open >= tonumber(ARGV[i + 3]) then return 'full' end
    local now = clock()
    local seq = add(id, 1, 0, now, ARGV, i + 9)
    call('HSET', hash(id), 'automation', automation, 'created', now, 'token', 0, 'held', 0,
         'seq', seq, 'asks', 0, 'most', ARGV[i + 5], 'kept', ARGV[i + 6])
    if ARGV[i + 7] ~= '0' then call('HSET', hash(id), 'taken', now + ARGV[i + 7]) end
    if ARGV[i + 8] ~= '' then call('COPY', blobs(ARGV[i + 8]), blobs(id)) end
    enter(id, 'queued', now)
    call('ZADD', ALL, now, id)
    call('ZADD', of(automation), now, id)
    if open - call('ZCARD', line(automation)) >= tonumber(ARGV[i + 4]) then
        call('ZADD', line(automation), now, id)
    else
        call('ZADD', DUE, math.max(now, due), id)
    end
    return 'ok'
end

local function show(id)
    local f = call('HMGET', hash(id), 'automation', 'state', 'created', 'ended', 'seq', 'token')
    if not f[1] then return false end
    return {id, f[1], f[2], f[3], f[4], call('ZSCORE', DUE, id), f[5], f[6]}
end
"""

CREATE = "return create(1)"

# ARGV: id
GET = "return show(ARGV[1])"

# ARGV: automation, state, limit, created, id. One index is walked, at most 5,000 runs of it.
LIST = """
local automation, state, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local index = ALL
if automation ~= '' then index = of(automation) elseif state ~= '' then index = state_set(state) end
local top = ARGV[4] == '' and '+inf' or ARGV[4]
local function below(a, b)  -- by bytes, as sorted sets are, whatever the server's locale is
    for i = 1, math.min(#a, #b) do
        local x, y = a:byte(i), b:byte(i)
        if x ~= y then return x < y end
    end
    return #a < #b
end
local shown, seen = {}, 0
while #shown < limit and seen < 5000 do
    local ids = call('ZREVRANGEBYSCORE', index, top, '-inf', 'WITHSCORES', 'LIMIT', seen, 500)
    if #ids == 0 then break end
    seen = seen + #ids / 2
    for i = 1, #ids, 2 do
        local id, earlier = ids[i], ids[i + 1] ~= ARGV[4] or below(ids[i], ARGV[5])
        if #shown == limit then break end
        if earlier and (state == '' or call('HGET', hash(id), 'state') == state) then
            shown[#shown + 1] = show(id)
        end
    end
end
return shown
"""

# ARGV: limit, lease. A token is above every one that a backup of Redis may have.
CLAIM = """
local now, got, limit, seen = clock(), {}, tonumber(ARGV[1]), 0
while #got < limit and seen < 1000 do
    local ids = call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, limit - #got)
    if #ids == 0 then break end
    seen = seen + #ids
    for _, id in ipairs(ids) do
        local have = call('HMGET', hash(id), 'token', 'state', 'automation', 'ending')
        if have[2] == 'queued' and not have[4] and call('SISMEMBER', HELD, have[3]) == 1 then
            call('ZADD', parked(have[3]), call('ZSCORE', DUE, id), id)
            call('ZREM', DUE, id)
        else
            local token = math.max(have[1] + 1, now)
            call('HSET', hash(id), 'token', token, 'held', 1)
            call('ZADD', DUE, now + ARGV[2], id)
            got[#got + 1] = {id, token}
        end
    end
end
return {now, got}
"""

# ARGV: lease, then id, token of each
RENEW = """
local now, last = clock(), {}
for i = 2, #ARGV, 2 do
    local id = ARGV[i]
    local have = call('HMGET', hash(id), 'token', 'held', 'seq')
    if have[1] == ARGV[i + 1] and have[2] == '1' then
        last[#last + 1] = {id, have[3]}
        local due = tonumber(call('ZSCORE', DUE, id) or 0)
        -- A due date further off than a lease is one that a clock left which was set back since.
        if due - now < ARGV[1] * 2 / 3 or due - now > tonumber(ARGV[1]) then
            call('ZADD', DUE, now + ARGV[1], id)
        end
    end
end
return {now, last}
"""

# ARGV: id, token, seq, lease, '' or 'release', state, due, body...
APPEND = """
local id, token, seq, first = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[8]
local have = call('HMGET', hash(id), 'token', 'held', 'seq')
if have[1] ~= token then return 'fenced' end
local last = tonumber(have[3])
if first and seq <= last then
    local at = call('XRANGE', log(id), seq .. '-0', seq .. '-0')[1]
    if at and at[2][2] == token and at[2][6] == first then return 'duplicate' end
end
if have[2] ~= '1' then return first and 'fenced' or 'duplicate' end
if seq ~= last + 1 then return 'behind' end
local now = clock()
call('HSET', hash(id), 'seq', add(id, seq, token, now, ARGV, 8))
if ARGV[5] == '' then
    enter(id, 'running', now)
    call('ZADD', DUE, now + ARGV[4], id)
else
    call('HSET', hash(id), 'held', 0)
    if ARGV[7] == '' then call('ZREM', DUE, id) else call('ZADD', DUE, ARGV[7], id) end
    if ARGV[6] ~= '' then enter(id, ARGV[6], now) end
end
return 'ok'
"""

# ARGV: id, name, purpose, most, body
ASK = """
local id, purpose = ARGV[1], ARGV[3]
local have = call('HMGET', hash(id), 'state', 'held', 'seq', 'asks', 'ask:' .. ARGV[2],
                  'automation')
if not have[1] then return 'missing' end
if have[5] then return 'duplicate' end
if ENDED[have[1]] then return 'ended' end
if purpose == 'other' and tonumber(have[4]) >= tonumber(ARGV[4]) then return 'full' end
local now = clock()
local seq = add(id, have[3] + 1, 0, now, ARGV, 5)
call('HSET', hash(id), 'seq', seq, 'ask:' .. ARGV[2], seq)
if purpose == 'other' then call('HINCRBY', hash(id), 'asks', 1) end
if purpose == 'end' then
    call('HSET', hash(id), 'ending', 1)
    if call('ZREM', line(have[6]), id) == 1 then call('HSET', hash(id), 'jumped', 1) end
    call('ZREM', parked(have[6]), id)
elseif call('ZSCORE', line(have[6]), id) or call('ZSCORE', parked(have[6]), id) then
    return 'ok'
end
if have[2] ~= '1' then call('ZADD', DUE, now, id) end
return 'ok'
"""

# ARGV: automation, 1 or 0, revision
HOLD = """
local field = '/' .. ARGV[1]
if ARGV[3] ~= '' then
    if tonumber(ARGV[3]) < tonumber(call('HGET', REVISIONS, field) or 0) then return 0 end
    call('HSET', REVISIONS, field, ARGV[3])
end
if ARGV[2] == '1' then return call('SADD', HELD, ARGV[1]) end
call('SREM', HELD, ARGV[1])
local ids = call('ZRANGE', parked(ARGV[1]), 0, -1, 'WITHSCORES')
for i = 1, #ids, 2 do call('ZADD', DUE, ids[i + 1], ids[i]) end
return call('DEL', parked(ARGV[1]))
"""

# ARGV: id, token, name, data
PUT_BLOB = """
local have = call('HMGET', hash(ARGV[1]), 'token', 'held')
if have[1] ~= ARGV[2] or have[2] ~= '1' then return 'fenced' end
call('HSET', blobs(ARGV[1]), ARGV[3], ARGV[4])
return 'ok'
"""

# ARGV: limit
ENDED = """
local shown = {}
for _, id in ipairs(call('ZRANGE', ENDS, 0, ARGV[1] - 1)) do shown[#shown + 1] = show(id) end
return shown
"""

# ARGV: ids
ACKNOWLEDGE = """
for _, id in ipairs(ARGV) do
    if call('ZREM', ENDS, id) == 1 then
        local have = call('HMGET', hash(id), 'ended', 'kept')
        call('ZADD', GOING, have[1] + have[2], id)
    end
end
return #ARGV
"""

# ARGV: limit
PRUNE = """
local now = clock()
local ids = call('ZRANGEBYSCORE', GOING, '-inf', now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
    local have = call('HMGET', hash(id), 'automation', 'state', 'taken')
    call('ZREM', GOING, id)
    call('ZREM', ALL, id)
    call('ZREM', over(have[1]), id)
    call('ZREM', of(have[1]), id)
    call('ZREM', state_set(have[2]), id)
    call('UNLINK', hash(id), log(id), blobs(id))
    if have[3] and tonumber(have[3]) > now then call('SET', gone(id), '', 'PXAT', have[3]) end
end
return #ids
"""

# ARGV: schedule, at, revision, 1 or 0
SCHEDULE = """
local last = tonumber(call('HGET', REVISIONS, ARGV[1]) or 0)
if ARGV[3] ~= '' and tonumber(ARGV[3]) < last then return 'stale' end
if ARGV[4] == '1' and call('ZSCORE', FIRES, ARGV[1]) then return 'ok' end
if ARGV[3] ~= '' then call('HSET', REVISIONS, ARGV[1], ARGV[3]) end
if ARGV[2] == '' then call('ZREM', FIRES, ARGV[1]) else call('ZADD', FIRES, ARGV[2], ARGV[1]) end
return 'ok'
"""

# ARGV: schedule, at, following, 1 or 0, then nothing or what `create` takes
FIRE = """
if tonumber(call('ZSCORE', FIRES, ARGV[1]) or -1) ~= tonumber(ARGV[2]) then
    return ARGV[5] and taken(ARGV[5]) and 'there' or 'stale'
end
local created = ARGV[5] and create(5) or 'ok'
if created == 'full' and ARGV[4] == '1' then return 'full' end
if ARGV[3] == '' then call('ZREM', FIRES, ARGV[1]) else call('ZADD', FIRES, ARGV[3], ARGV[1]) end
return created
"""

SCRIPTS = {
    "create": CREATE,
    "get": GET,
    "list": LIST,
    "claim": CLAIM,
    "renew": RENEW,
    "append": APPEND,
    "ask": ASK,
    "put_blob": PUT_BLOB,
    "hold": HOLD,
    "ends": ENDED,
    "acknowledge": ACKNOWLEDGE,
    "prune": PRUNE,
    "schedule": SCHEDULE,
    "fire": FIRE,
}
