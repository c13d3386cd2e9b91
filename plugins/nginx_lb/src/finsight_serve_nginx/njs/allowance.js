// What was taken of a limit, as one number for each: the time (ms) at which all of it will be paid back (GCRA's
// theoretical arrival time). It lives in shared memory, so it outlives workers and reloads, and dies with nginx.
// Reading and writing are two steps: of two workers that take at the same moment one may go uncounted. That loosens
// a limit slightly, never tightens it, and needs no healing.
var SLACK_MS = 1000;

// A time further ahead than `most_ms` can't have been reached: the clock was set back, or the limit was raised.
function paid_at(name, now_ms, most_ms) {
    var at = ngx.shared.allowances.get(name);
    return at > now_ms && at <= now_ms + most_ms + SLACK_MS ? at : now_ms;
}

// How long (ms) until `cost_ms` more fits into `burst_ms`; 0: now.
function wait_ms(name, cost_ms, burst_ms, most_ms) {
    var now_ms = Date.now();
    var wait = paid_at(name, now_ms, most_ms) + cost_ms - now_ms - burst_ms;
    return wait < 1 ? 0 : wait;  // a third of a second is no whole number
}

function take(name, cost_ms, most_ms) {
    var now_ms = Date.now();
    ngx.shared.allowances.set(name, Math.min(paid_at(name, now_ms, most_ms) + cost_ms, now_ms + most_ms));
}

export default { wait_ms, take };
