// Who calls, and may it go on.
import crypto from 'crypto';
import allowance from 'allowance.js';

var MINUTE_MS = 60000;
var LONGEST_DEBT_MS = 3600000;  // of tokens; as long as the zone keeps an entry

function key_sha256(r) {
    var bearer = /^Bearer +(\S+) *$/i.exec(r.headersIn.Authorization || '');
    return bearer ? crypto.createHash('sha256').update(bearer[1]).digest('hex') : '';
}

// '' lets the request through and counts it; any other answer is the name of a page under /errors/, and takes nothing.
function admission(r) {
    var v = r.variables;
    if (!v.tenant) {
        return 'unauthorized';
    }
    if (!v.upstream_group) {
        return 'unavailable';
    }
    var limits = r.limits = v.limits ? parse(v.limits) : {};
    return wait(v, limits) || count_in(v, limits);
}

function parse(text) {
    var numbers = text.split(',').map(Number);  // '-' becomes NaN: over no limit, and no rate
    var interval_ms = 1000 / numbers[1];
    return {
        max_ongoing_requests: numbers[0],
        interval_ms: interval_ms,
        burst_ms: Math.max(1000, interval_ms),
        tokens_per_minute: numbers[2]
    };
}

function wait(v, limits) {
    var wait_ms;
    if (limits.tokens_per_minute > 0) {
        wait_ms = allowance.wait_ms('t:' + v.tenant, 0, MINUTE_MS, LONGEST_DEBT_MS);
        if (wait_ms > 0) {
            return refuse(v, 'tokens', wait_ms);
        }
    }
    if (limits.interval_ms > 0) {
        wait_ms = allowance.wait_ms('r:' + v.tenant, limits.interval_ms, limits.burst_ms, limits.burst_ms);
        if (wait_ms > 0) {
            return refuse(v, 'rate', wait_ms);
        }
    }
    return '';
}

function refuse(v, page, wait_ms) {
    v.retry_after_s = String(Math.ceil(wait_ms / 1000));
    return page;
}

function count_in(v, limits) {
    // Written before it is counted: a worker that dies in between loosens the limit by one instead of tightening it.
    ngx.shared.open.set(v.request_id, JSON.stringify({
        tenant: v.tenant, deployment: v.deployment, pid: Number(v.pid), started_s: Date.now() / 1000,
        route_version: Number(v.route_version)
    }));
    if (ngx.shared.ongoing.incr(v.tenant, 1, 0) > limits.max_ongoing_requests) {
        release(v);
        return 'limited';
    }
    if (limits.interval_ms > 0) {
        allowance.take('r:' + v.tenant, limits.interval_ms, limits.burst_ms);
    }
    return '';
}

// Whoever takes the entry out counts it down: a swept request is not counted down twice.
function release(v) {
    if (ngx.shared.open.delete(v.request_id)) {
        ngx.shared.ongoing.incr(v.tenant, -1, 0);
    }
}

// Once an answer has ended, its tokens are known, and the next requests wait for them.
function charge(r, tokens) {
    if (tokens > 0 && r.limits.tokens_per_minute > 0) {
        allowance.take('t:' + r.variables.tenant, tokens * MINUTE_MS / r.limits.tokens_per_minute, LONGEST_DEBT_MS);
    }
}

export default { key_sha256, admission, release, charge };
