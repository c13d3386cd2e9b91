// Was the answer passed on whole, and how many tokens is it worth. Only its first and last bytes are looked at, in
// memory, while the request lasts: r.answer is this request's own. njs frees nothing before a request ends, so a
// stream's buffers are counted and copied where they are, never turned into strings.
var HEAD = 512;
var TAIL = 1024;  // vLLM's usage and what follows it take a few hundred bytes
var NEWLINE = 10;
var D = 100;
var DATA = '\nd';  // `data:` alone among the fields of an event begins with d; within JSON a line's end is escaped

function pass(r, data, flags) {
    var answer = r.answer || (r.answer = begin(r));
    if (data.length > 0) {
        if (!answer.ttft_s) {
            answer.ttft_s = r.variables.request_time;
        }
        if (answer.head) {
            count(answer, data);
        }
        keep(answer, data);
    }
    if (flags.last) {
        answer.passed = '1';
    }
    r.sendBuffer(data, flags);
}

function begin(r) {
    var stream = /^text\/event-stream/.test(r.headersOut['Content-Type']);
    var answer = { ttft_s: '', passed: '', length: 0, tail: Buffer.alloc(TAIL) };
    if (stream) {
        answer.head = Buffer.alloc(HEAD);
        answer.mark = Buffer.from(DATA);
        answer.events = 0;
        answer.at_line_start = true;
    }
    return answer;
}

function count(answer, data) {
    var at = -1;
    if (answer.length < HEAD) {
        data.copy(answer.head, answer.length);
    }
    if (answer.at_line_start && data[0] === D) {
        answer.events += 1;
    }
    while ((at = data.indexOf(answer.mark, at + 1)) >= 0) {
        answer.events += 1;
    }
    answer.at_line_start = data[data.length - 1] === NEWLINE;
}

// The answer's byte k stands at k % TAIL until it is written over.
function keep(answer, data) {
    var from = Math.max(0, data.length - TAIL);
    from += data.copy(answer.tail, (answer.length + from) % TAIL, from);
    if (from < data.length) {
        data.copy(answer.tail, 0, from);
    }
    answer.length += data.length;
}

function ending(answer) {
    var at = answer.length % TAIL;
    return answer.length <= TAIL ? answer.tail.slice(0, answer.length)
        : Buffer.concat([answer.tail.slice(at), answer.tail.slice(0, at)]);
}

// Writes what the ledger says of the answer; returns its tokens.
function judge(r) {
    var answer = r.answer;
    if (!answer) {
        return 0;
    }
    var v = r.variables;
    var tail = ending(answer);
    var done = answer.head && /data: ?\[DONE\]\s*$/.test(tail.slice(-32).toString());
    v.ttft_s = answer.ttft_s;
    v.passed = answer.passed;
    v.passed_bytes = String(answer.length);
    v.done = done ? '1' : '';
    // Quotes within a text are escaped, so that a model can't write a usage of its own.
    var at = tail.lastIndexOf('"usage":');
    var usage = at < 0 ? '' : tail.slice(at).toString();
    if (/^"usage": ?\{/.test(usage)) {
        var prompt = tokens(usage, /"(?:prompt|input)_tokens": ?(\d+)/);
        var completion = tokens(usage, /"(?:completion|output)_tokens": ?(\d+)/);
        return note(v, 'usage', prompt, completion);
    }
    return answer.head ? note(v, 'chunks', '', chunks(answer, done)) : 0;
}

function tokens(usage, field) {
    var found = field.exec(usage);
    return found ? found[1] : '';
}

// One token each, as a rule: without the terminal event and a first one that only says who speaks.
function chunks(answer, done) {
    var first = answer.head.toString().split(/\r?\n\r?\n/)[0];
    var speaker = /"role": ?"/.test(first) && !/"content": ?"[^"]/.test(first);
    return String(Math.max(0, answer.events - (done ? 1 : 0) - (speaker ? 1 : 0)));
}

function note(v, from, prompt, completion) {
    v.tokens_from = from;
    v.prompt_tokens = prompt;
    v.completion_tokens = completion;
    return Number(prompt) + Number(completion);
}

export default { pass, judge };
