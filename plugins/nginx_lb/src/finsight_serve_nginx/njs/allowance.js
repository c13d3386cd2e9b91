// What was taken of a limit, as one number for each: the time (ms) at which all of it will be paid back (GCRA's
// theoretical arrival time). It lives in shared memory, so it outlives workers and reloads, and dies with nginx.
// Reading and writing are two steps: of two workers that take at the same moment one may go uncounted. That loosens
// a limit slightly, never tightens it, and needs no healing.
var SLACK_MS = 1000;

// A time further ahead than `most_ms` can't have been reached: the clock was set back, or the limit was raised.
function paid_at_ms(name, now_ms, most_ms) {
    var at_ms = ngx.shared.allowances.get(name);
    return at_ms > now_ms && at_ms <= now_ms + most_ms + SLACK_MS ? at_ms : now_ms;
}

function owe(name, until_ms) {
    ngx.shared.allowances.set(name, until_ms);
}

function take(name, cost_ms, most_ms) {
    var now_ms = Date.now();
    owe(name, Math.min(paid_at_ms(name, now_ms, most_ms) + cost_ms, now_ms + most_ms));
}

export default { paid_at_ms, owe, take };
