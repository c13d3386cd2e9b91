// The request path, as nginx.conf names it. njs's engine is ES5-like.
import admission from 'admission.js';
import answer from 'answer.js';

// Evaluated in the log phase, which every request reaches unless its worker is killed.
function recorded(r) {
    var v = r.variables;
    admission.release(v);
    admission.charge(r, answer.judge(r));
    return v.tenant ? '1' : '';
}

export default { key_sha256: admission.key_sha256, admission: admission.admission, pass: answer.pass, recorded };
