// How many requests each deployment has in work, of all tenants and of each: numbers in shared memory, which outlive
// workers and reloads. Names are encoded, so that none has a space in it.

function count(deployment, tenant) {
    return ngx.shared.held.get(name_of(deployment, tenant)) || 0;
}

function add(deployment, tenant) {
    ngx.shared.held.incr(deployment, 1, 0);
    ngx.shared.held.incr(name_of(deployment, tenant), 1, 0);
}

function drop(deployment, tenant) {
    take(deployment);
    take(name_of(deployment, tenant));
}

// Never below none: what was counted down and not up, as by a worker that died in between, is forgotten there.
function take(name) {
    if (ngx.shared.held.incr(name, -1, 0) < 0) {
        ngx.shared.held.incr(name, 1, 0);
    }
}

function name_of(deployment, tenant) {
    return tenant === undefined ? deployment : tenant + ' ' + deployment;
}

export default { count, add, drop };
