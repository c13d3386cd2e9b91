// Who calls, and may it go on.
import crypto from 'crypto';
import allowance from 'allowance.js';
import held from 'held.js';
import room from 'room.js';

var MINUTE_MS = 60000;
var COUNTED_OUT = '{"counted_out":true,';
var LONGEST_DEBT_MS = 3600000;  // of tokens; as long as the zone keeps an entry

// Without a regular expression, which costs more than the hash. A key with a space in it is nobody's.
function key_sha256(r) {
    var value = r.headersIn.Authorization;
    if (!value || value.slice(0, 7).toLowerCase() !== 'bearer ') {
        return '';
    }
    return crypto.createHash('sha256').update(value.slice(7).trim()).digest('hex');
}

// '' lets the request through and counts it; any other answer is the name of a page under /errors/, and takes nothing.
function admission(r) {
    var v = r.variables;
    var tenant = v.tenant;
    if (!tenant) {
        return 'unauthorized';
    }
    if (!v.upstream_group) {
        note(ngx.shared.refused, tenant, v.assigned);
        return 'unavailable';
    }
    var text = v.limits;
    if (!text) {
        count_in(v, tenant);
        return v.max_ongoing ? shed_unless_room(v, tenant) : '';
    }
    var numbers = text.split(',');  // '-' becomes NaN: over no limit, and no rate
    return admit(v, tenant, Number(numbers[0]), 1000 / numbers[1], numbers[2] > 0);
}

function admit(v, tenant, max_ongoing_requests, interval_ms, counts_tokens) {
    var now_ms = Date.now();
    var wait_ms, burst_ms, paid_at_ms;
    if (counts_tokens) {
        wait_ms = allowance.paid_at_ms('t:' + tenant, now_ms, LONGEST_DEBT_MS) - now_ms - MINUTE_MS;
        if (wait_ms >= 1) {  // a third of a second is no whole number
            return refuse(v, 'tokens', wait_ms);
        }
    }
    if (interval_ms > 0) {
        burst_ms = Math.max(1000, interval_ms);
        paid_at_ms = allowance.paid_at_ms('r:' + tenant, now_ms, burst_ms) + interval_ms;
        wait_ms = paid_at_ms - now_ms - burst_ms;
        if (wait_ms >= 1) {
            return refuse(v, 'rate', wait_ms);
        }
    }
    if (count_in(v, tenant) > max_ongoing_requests) {
        release(v, tenant);
        return 'limited';
    }
    if (v.max_ongoing && shed_unless_room(v, tenant)) {
        return 'overloaded';
    }
    if (interval_ms > 0) {
        allowance.owe('r:' + tenant, paid_at_ms);
    }
    return '';
}

// It is counted in already: of two that come at the same moment both see the other, and none slips through.
function shed_unless_room(v, tenant) {
    var others = held.count(v.deployment) - 1;
    if (room.admits(Number(v.max_ongoing), others, held.count(v.deployment, tenant) - 1)) {
        return '';
    }
    release(v, tenant);
    note(ngx.shared.shed, tenant, v.deployment);
    return 'overloaded';
}

// There is no such dictionary where nobody asks for metrics.
function note(counters, tenant, deployment) {
    if (counters) {
        counters.incr(tenant + ' ' + deployment, 1, 0);
    }
}

function refuse(v, page, wait_ms) {
    v.retry_after_s = String(Math.ceil(wait_ms / 1000));
    return page;
}

// Written before it is counted: a worker that dies in between loosens the limit by one instead of tightening it.
function count_in(v, tenant) {
    ngx.shared.open.set(v.request_id, v.open_entry);
    held.add(v.deployment, tenant);
    return ngx.shared.ongoing.incr(tenant, 1, 0);
}

// Whoever takes the entry out counts it down: a swept request is not counted down twice.
function release(v, tenant) {
    var entry = ngx.shared.open.pop(v.request_id);
    if (entry !== undefined && !entry.startsWith(COUNTED_OUT)) {
        count_down(tenant, JSON.parse(entry).held_by);
    }
}

function count_down(tenant, deployment) {
    ngx.shared.ongoing.incr(tenant, -1, 0);
    held.drop(deployment, tenant);
}

// Once the request turns out to be elsewhere than where it was sent first. `holds`: it takes up room there from now on,
// which it left here; a load balancer behind has been given room by its own name, wherever it sends a request.
function place(v, deployment, holds) {
    var entry = ngx.shared.open.get(v.request_id);
    if (entry !== undefined && deployment !== v.deployment) {
        entry = JSON.parse(entry);
        entry.deployment = deployment;
        if (holds) {
            held.drop(entry.held_by, v.tenant);
            entry.held_by = deployment;
        }
        ngx.shared.open.set(v.request_id, JSON.stringify(entry));
        if (holds) {
            held.add(deployment, v.tenant);
        }
    }
}

// Before its client has the whole answer and may ask again, by another worker too: the log phase comes later, of a copied
// request only once its copy was handed over. The entry stays: until there is a ledger line, it says that one is owed.
function count_out(v) {
    var entry = ngx.shared.open.get(v.request_id);
    if (entry !== undefined && !entry.startsWith(COUNTED_OUT)) {
        ngx.shared.open.set(v.request_id, COUNTED_OUT + entry.slice(1));
        count_down(v.tenant, JSON.parse(entry).held_by);
    }
}

// Once an answer has ended, its tokens are known, and the next requests wait for them.
function charge(v, tenant, tokens) {
    var per_minute = tokens > 0 && v.limits ? v.limits.split(',')[2] : 0;
    if (per_minute > 0) {
        allowance.take('t:' + tenant, tokens * MINUTE_MS / per_minute, LONGEST_DEBT_MS);
    }
}

export default { key_sha256, admission, release, place, count_out, charge };
