// Whether a deployment has room for one more request of a tenant's. `bound` is how many all of them may have in work,
// `ongoing` how many have, `own` how many of these are the tenant's. Pure.
//
// A tenant gets in as long as it has less than twice of what is free: one alone fills two thirds, of several that ask for
// everything all get the same, and something is always left for one who asks for little (dynamic thresholds: Choudhury
// and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998). That is max-min fair, and takes no list of who is there.
var TIMES_WHAT_IS_FREE = 2;

function admits(bound, ongoing, own) {
    return own < TIMES_WHAT_IS_FREE * (bound - ongoing);
}

export default { admits };
