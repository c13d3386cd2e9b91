// What the plugin asks over the unix socket.
import held from 'held.js';

var EVERY = 1000000;  // items() stops at 1024 by default

function list(r) {
    var open = {};
    ngx.shared.open.items(EVERY).forEach(function (item) {
        open[item[0]] = JSON.parse(item[1]);
    });
    r.return(200, JSON.stringify(open));
}

// The body holds ids of requests whose worker is gone: they never reach the log phase.
function sweep(r) {
    JSON.parse(r.requestText).forEach(function (id) {
        var entry = JSON.parse(ngx.shared.open.pop(id) || 'null');
        if (entry && !entry.counted_out) {
            ngx.shared.ongoing.incr(entry.tenant, -1, 0);
            held.drop(entry.held_by, entry.tenant);
        }
    });
    r.return(200, '');
}

export default { list, sweep };
