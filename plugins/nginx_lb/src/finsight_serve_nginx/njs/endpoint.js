// The request path: who calls, may it go on, was the answer passed on whole.
// njs's engine is ES5-like, and a request has a context of its own: state lives in the shared dictionaries.
import crypto from 'crypto';

function key_sha256(r) {
    var bearer = /^Bearer +(\S+) *$/i.exec(r.headersIn.Authorization || '');
    return bearer ? crypto.createHash('sha256').update(bearer[1]).digest('hex') : '';
}

// '' lets the request through and counts it; any other answer is the name of a page under /errors/.
function admission(r) {
    var v = r.variables;
    if (!v.tenant) {
        return 'unauthorized';
    }
    if (!v.upstream_group) {
        return 'unavailable';
    }
    // Written before it is counted: a worker that dies in between loosens the limit by one instead of tightening it.
    ngx.shared.open.set(v.request_id, JSON.stringify({
        tenant: v.tenant, deployment: v.deployment, pid: Number(v.pid), started_s: Date.now() / 1000
    }));
    var count = ngx.shared.ongoing.incr(v.tenant, 1, 0);
    if (v.max_ongoing_requests && count > Number(v.max_ongoing_requests)) {
        release(v);
        return 'limited';
    }
    return '';
}

// Whoever takes the entry out counts it down: a swept request is not counted down twice.
function release(v) {
    if (ngx.shared.open.delete(v.request_id)) {
        ngx.shared.ongoing.incr(v.tenant, -1, 0);
    }
}

// Evaluated in the log phase, which every request reaches unless its worker is killed.
function recorded(r) {
    release(r.variables);
    return r.variables.tenant ? '1' : '';
}

function pass(r, data, flags) {
    var v = r.variables;
    if (data.length > 0) {
        if (!v.ttft_s) {
            v.ttft_s = v.request_time;
        }
        // The stream's end may straddle buffers.
        v.tail = data.length >= 24 ? data.slice(-24).toString() : (v.tail + data.toString()).slice(-24);
    }
    if (flags.last) {
        v.passed = '1';
    }
    r.sendBuffer(data, flags);
}

function done(r) {
    return /data: ?\[DONE\]\s*$/.test(r.variables.tail) ? '1' : '';
}

export default { key_sha256, admission, recorded, pass, done };
