// Was the answer passed on whole, and how many tokens is it worth. Only its first and last bytes are looked at, in
// memory, while the request lasts: r.answer is this request's own. njs frees nothing before a request ends, so a
// stream's buffers are counted and copied where they are, never turned into strings.
import admission from 'admission.js';

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
        if (answer.stream) {
            count(answer, data);
        }
        answer.length += data.length;
        if (data.length === answer.expected) {  // as most answers come: nothing needs to be kept
            answer.usage = usage(data);
        } else {
            keep(answer, data);
        }
        // nginx would call once more, for an empty buffer that says no more than this.
        if (answer.length === answer.expected) {
            end(r, answer);
            r.done();
        }
    }
    if (flags.last) {
        end(r, answer);
    }
    r.sendBuffer(data, flags);
}

function end(r, answer) {
    var v = r.variables;
    answer.passed = '1';
    if (v.shadow || v.limits || v.max_ongoing) {
        admission.count_out(v);
    }
}

function begin(r) {
    var headers = r.headersOut;
    var type = headers['Content-Type'];
    var answer = { stream: type && type.startsWith('text/event-stream'), ttft_s: '', passed: '', length: 0 };
    if (!answer.stream) {
        answer.expected = Number(headers['Content-Length']);
    } else {
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
    var tail = answer.tail || (answer.tail = Buffer.alloc(TAIL));
    var from = Math.max(0, data.length - TAIL);
    from += data.copy(tail, (answer.length - data.length + from) % TAIL, from);
    if (from < data.length) {
        data.copy(tail, 0, from);
    }
}

function ending(answer) {
    var at = answer.length % TAIL;
    return answer.length <= TAIL ? answer.tail.slice(0, answer.length)
        : Buffer.concat([answer.tail.slice(at), answer.tail.slice(0, at)]);
}

// From there on, within the last bytes; '' for none. Quotes within a text are escaped, so that a model can't write a
// usage of its own.
function usage(bytes) {
    var at = bytes.lastIndexOf('"usage":');
    return at < 0 || at < bytes.length - TAIL ? '' : bytes.slice(at).toString();
}

// Writes what the ledger says of the answer; returns its tokens.
function judge(r) {
    var answer = r.answer;
    if (!answer) {
        return 0;
    }
    var v = r.variables;
    v.ttft_s = answer.ttft_s;
    v.passed = answer.passed;
    v.passed_bytes = String(answer.length);
    var found = answer.usage, done = false;
    if (found === undefined && answer.tail) {
        var tail = ending(answer);
        done = answer.stream && /data: ?\[DONE\]\s*$/.test(tail.slice(-32).toString());
        v.done = done ? '1' : '';
        found = usage(tail);
    }
    if (found && /^"usage": ?\{/.test(found)) {
        var prompt = tokens(found, /"(?:prompt|input)_tokens": ?(\d+)/);
        var completion = tokens(found, /"(?:completion|output)_tokens": ?(\d+)/);
        return note(v, 'usage', prompt, completion);
    }
    return answer.stream ? note(v, 'chunks', '', chunks(answer, done)) : 0;
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
