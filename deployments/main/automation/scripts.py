"""The scripts that Redis runs for `RedisRuns`: each decision and its writes are one of them.

    autobot:main:run:ID            a hash: automation, state, created, ended, token, held, seq,
                                   asks (how many), ask:NAME (each that was asked)
    autobot:main:run:ID:log        the journal, a stream: SEQ-0 -> t (token), a (instant), b (body)
    autobot:main:run:ID:blobs      a hash: name -> bytes
    autobot:main:runs:due          a sorted set by the instant they fall due
    autobot:main:runs:all          a sorted set by creation, and so for one automation or state:
    autobot:main:runs:of:AUTOMATION, autobot:main:runs:in:STATE
    autobot:main:runs:line:AUTOMATION  a sorted set by creation: those that wait for their turn
    autobot:main:runs:ended        a sorted set by end, and so for one automation:
    autobot:main:runs:ended:of:AUTOMATION
    autobot:main:runs:ended:count  a sorted set: automation -> how many of its runs have ended
    autobot:main:fires             a sorted set: schedule -> its next instant

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
local OVER, COUNT = P .. 'runs:ended', P .. 'runs:ended:count'
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
        call('HSET', hash(id), 'ended', now)
        call('ZREM', DUE, id)
        call('ZADD', OVER, now, id)
        call('ZADD', over(have[3]), now, id)
        call('ZINCRBY', COUNT, 1, have[3])
        local following = call('ZPOPMIN', line(have[3]))[1]
        if following then call('ZADD', DUE, now, following) end
    end
end

local function create(id, automation, due, most, running, bodies, first)
    if call('EXISTS', hash(id)) == 1 then return 'there' end
    local open = call('ZCARD', of(automation)) - call('ZCARD', over(automation))
    if open >= tonumber(most) then return 'full' end
    local now = clock()
    local seq = add(id, 1, 0, now, bodies, first)
    call('HSET', hash(id), 'automation', automation, 'created', now, 'token', 0, 'held', 0,
         'seq', seq, 'asks', 0)
    enter(id, 'queued', now)
    call('ZADD', ALL, now, id)
    call('ZADD', of(automation), now, id)
    if open - call('ZCARD', line(automation)) >= tonumber(running) then
        call('ZADD', line(automation), now, id)
    else
        call('ZADD', DUE, due == '' and now or due, id)
    end
    return 'ok'
end

local function show(id)
    local f = call('HMGET', hash(id), 'automation', 'state', 'created', 'ended', 'seq', 'token')
    if not f[1] then return false end
    return {id, f[1], f[2], f[3], f[4], call('ZSCORE', DUE, id), f[5], f[6]}
end
"""

# ARGV: id, automation, due, most, running, body...
CREATE = "return create(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV, 6)"

# ARGV: id
GET = "return show(ARGV[1])"

# ARGV: automation, state, before, limit. One index is walked, at most 5,000 runs of it.
LIST = """
local automation, state, limit = ARGV[1], ARGV[2], tonumber(ARGV[4])
local index = ALL
if automation ~= '' then index = of(automation) elseif state ~= '' then index = state_set(state) end
local top = ARGV[3] == '' and '+inf' or '(' .. ARGV[3]
local shown, seen = {}, 0
while #shown < limit and seen < 5000 do
    local ids = call('ZREVRANGEBYSCORE', index, top, '-inf', 'LIMIT', seen, 500)
    if #ids == 0 then break end
    seen = seen + #ids
    for _, id in ipairs(ids) do
        if #shown == limit then break end
        if state == '' or call('HGET', hash(id), 'state') == state then
            shown[#shown + 1] = show(id)
        end
    end
end
return shown
"""

# ARGV: limit, lease
CLAIM = """
local now, got = clock(), {}
for _, id in ipairs(call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, ARGV[1])) do
    local token = call('HINCRBY', hash(id), 'token', 1)
    call('HSET', hash(id), 'held', 1)
    call('ZADD', DUE, now + ARGV[2], id)
    got[#got + 1] = {id, token}
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

# ARGV: id, token, seq, '' or 'release', state, due, body...
APPEND = """
local id, token, seq, first = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[7]
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
call('HSET', hash(id), 'seq', add(id, seq, token, now, ARGV, 7))
if ARGV[4] == '' then
    enter(id, 'running', now)
else
    call('HSET', hash(id), 'held', 0)
    if ARGV[6] == '' then call('ZREM', DUE, id) else call('ZADD', DUE, ARGV[6], id) end
    if ARGV[5] ~= '' then enter(id, ARGV[5], now) end
end
return 'ok'
"""

# ARGV: id, name, most, body
ASK = """
local id = ARGV[1]
local have = call('HMGET', hash(id), 'state', 'held', 'seq', 'asks', 'ask:' .. ARGV[2],
                  'automation')
if not have[1] then return 'missing' end
if have[5] then return 'duplicate' end
if ENDED[have[1]] then return 'ended' end
if tonumber(have[4]) >= tonumber(ARGV[3]) then return 'full' end
local now = clock()
local seq = add(id, have[3] + 1, 0, now, ARGV, 4)
call('HSET', hash(id), 'seq', seq, 'asks', have[4] + 1, 'ask:' .. ARGV[2], seq)
call('ZREM', line(have[6]), id)
if have[2] ~= '1' then call('ZADD', DUE, now, id) end
return 'ok'
"""

# ARGV: id, token, name, data
PUT_BLOB = """
local have = call('HMGET', hash(ARGV[1]), 'token', 'held')
if have[1] ~= ARGV[2] or have[2] ~= '1' then return 'fenced' end
call('HSET', blobs(ARGV[1]), ARGV[3], ARGV[4])
return 'ok'
"""

# ARGV: keep, milliseconds, limit
PRUNE = """
local limit, gone = tonumber(ARGV[3]), 0
local function delete(ids)
    for _, id in ipairs(ids) do
        local have = call('HMGET', hash(id), 'automation', 'state')
        call('ZREM', OVER, id)
        call('ZREM', ALL, id)
        call('ZREM', over(have[1]), id)
        call('ZREM', of(have[1]), id)
        call('ZREM', state_set(have[2]), id)
        if call('ZINCRBY', COUNT, -1, have[1]) == '0' then call('ZREM', COUNT, have[1]) end
        call('UNLINK', hash(id), log(id), blobs(id))
        gone = gone + 1
    end
end
delete(call('ZRANGEBYSCORE', OVER, '-inf', '(' .. clock() - ARGV[2], 'LIMIT', 0, limit))
for _, automation in ipairs(call('ZRANGEBYSCORE', COUNT, '(' .. ARGV[1], '+inf')) do
    local many = call('ZCARD', over(automation)) - ARGV[1]
    local room = math.min(many, limit - gone)
    if room > 0 then delete(call('ZRANGE', over(automation), 0, room - 1)) end
end
return gone
"""

# ARGV: schedule, at, following, '' or 'run', id, automation, due, most, running, body...
FIRE = """
if tonumber(call('ZSCORE', FIRES, ARGV[1]) or -1) ~= tonumber(ARGV[2]) then
    if ARGV[4] ~= '' and call('EXISTS', hash(ARGV[5])) == 1 then return 'there' end
    return 'stale'
end
local created = 'ok'
if ARGV[4] ~= '' then
    created = create(ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV, 10)
end
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
    "prune": PRUNE,
    "fire": FIRE,
}
