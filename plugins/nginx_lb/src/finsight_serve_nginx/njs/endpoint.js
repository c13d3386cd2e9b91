// The request path, as nginx.conf names it. njs's engine is ES5-like.
import admission from 'admission.js';
import answer from 'answer.js';

// Evaluated in the log phase, which every request reaches unless its worker is killed. An error page within nginx has
// cost the request what was noted on `r`, so that only variables say for certain whose it is.
function recorded(r) {
    var v = r.variables;
    var tenant = v.tenant;
    if (!tenant) {
        return '';
    }
    admission.release(v, tenant);
    admission.charge(r, tenant, answer.judge(r));
    return '1';
}

export default { key_sha256: admission.key_sha256, admission: admission.admission, pass: answer.pass, recorded };
