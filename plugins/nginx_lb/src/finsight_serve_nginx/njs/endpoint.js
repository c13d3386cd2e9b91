// The request path, as nginx.conf names it. njs's engine is ES5-like.
import admission from 'admission.js';
import answer from 'answer.js';

var NOT_FOUND = 404, UNAVAILABLE = 503;

// Only before another load balancer. One that has not heard of the tenant yet knows no way, and says so by a 404 of its
// own; a replica's 404 comes from a deployment.
function place(r) {
    var v = r.variables;
    if (r.status === NOT_FOUND && !v.upstream_http_x_finsight_deployment) {
        r.status = UNAVAILABLE;
        r.headersOut['Retry-After'] = v.retry_after_s;
    }
    admission.place(v, v.placed_at, false);
}

// Who takes a request over that its own deployment's replicas did not.
function spare_of(r) {
    var v = r.variables;
    admission.place(v, v.spare, true);
    return v.spare;
}

// Evaluated in the log phase, which every request reaches unless its worker is killed. An error page within nginx has
// cost the request what was noted on `r`, so that only variables say for certain whose it is.
function recorded(r) {
    var v = r.variables;
    var tenant = v.tenant;
    if (!tenant) {
        return '';
    }
    admission.release(v, tenant);
    admission.charge(v, tenant, answer.judge(r));
    return '1';
}

export default {
    key_sha256: admission.key_sha256, admission: admission.admission, pass: answer.pass, place, spare_of, recorded
};
