// SPDX-License-Identifier: BSD-3-Clause
// heap.js MIB: fills its memory with what JavaScript programs hold, made of the words of the files
// whose names come on standard input; says "ready" and stays until the input ends.
'use strict';
const fs = require('fs');

const targetBytes = Number(process.argv[2]) * 1048576;
let seed = 1;
function random() {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return seed / 0x7fffffff;
}

function fill(names) {
    const kept = [];
    for (let turn = 0; process.memoryUsage().rss < targetBytes; turn++) {
        const text = fs.readFileSync(names[turn % names.length], 'utf8').slice(0, 1 << 18);
        const words = text.split(/\s+/).slice(0, 2000);
        if (turn % 4 === 0) {
            kept.push(words.map((name, id) =>
                ({id, name, score: random(), tags: words.slice(id % 50, id % 50 + 3)})));
        } else if (turn % 4 === 1) {
            const count = new Map();
            for (const word of words)
                count.set(word, (count.get(word) || 0) + 1);
            kept.push(count);
        } else if (turn % 4 === 2) {
            kept.push(JSON.parse(JSON.stringify(
                words.map(word => ({word, length: word.length, at: [random(), random()]})))));
        } else {
            kept.push([text, words.map(word => () => word + random()),
                Float64Array.from({length: 500}, random)]);
        }
        if (turn % 7 === 0 && kept.length > 10)
            kept.splice(Math.floor(random() * kept.length), 1);  // holes
    }
    return kept;
}

let input = '';
let everything = null;
process.stdin.on('data', data => {
    input += data;
    const end = input.indexOf('\n\n');
    if (everything === null && end >= 0) {
        everything = fill(input.slice(0, end).split('\n'));
        console.log('ready');
    }
});
