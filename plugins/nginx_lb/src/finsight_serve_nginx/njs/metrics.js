// What Prometheus asks. Names are encoded within nginx, and decoded here.
import inventory from 'inventory.js';

var EVERY = 1000000;  // items() stops at 1024 by default

function show(r) {
    r.headersOut['Content-Type'] = 'text/plain; version=0.0.4; charset=utf-8';
    r.return(200,
        family('finsight_ongoing_requests', 'gauge', 'Requests that were let through and have not ended.', ongoing())
        + family('finsight_refused_requests_total', 'counter', 'Requests answered 503 because no replica was ready.',
            counted(ngx.shared.refused))
        + family('finsight_shed_requests_total', 'counter',
            'Requests answered 503 because the deployment had as many in work as it may.', counted(ngx.shared.shed)));
}

function ongoing() {
    var counts = zeros();
    ngx.shared.open.items(EVERY).forEach(function (item) {
        var entry = JSON.parse(item[1]);
        if (!entry.counted_out) {
            add(counts, entry.tenant + ' ' + entry.deployment, 1);
        }
    });
    return counts;
}

function counted(dictionary) {
    var counts = zeros();
    dictionary.items(EVERY).forEach(function (item) {
        add(counts, item[0], item[1]);
    });
    return counts;
}

function zeros() {
    var counts = {};
    inventory.forEach(function (place) {
        counts[place] = 0;
    });
    return counts;
}

function add(counts, place, number) {
    counts[place] = (counts[place] || 0) + number;
}

function family(name, type, help, counts) {
    var lines = ['# HELP ' + name + ' ' + help, '# TYPE ' + name + ' ' + type];
    Object.keys(counts).forEach(function (place) {
        var names = place.split(' ');
        lines.push(name + '{tenant="' + value(names[0]) + '",deployment="' + value(names[1]) + '"} ' + counts[place]);
    });
    return lines.join('\n') + '\n';
}

function value(encoded) {
    return decodeURIComponent(encoded).replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

export default { show };
