"use strict";
// The data files: scripts that pass on compressed JSON, because a page on file:// may not fetch.

const MAX_LOADED = 12; // trace files in memory
const waiting = new Map(); // name → {resolve, reject}
const loaded = new Map(); // name → promise of its content, least recently used first

// Browsers with trusted types let a page set the address of a script only through this policy.
const addresses = window.trustedTypes?.createPolicy("data", {
  createScriptURL: (name) => `data/${/^(index|[0-9]+)$/.exec(name)[0]}.js`,
});

/** Every data file calls this with its name and content. */
window.receive = (name, packed) => {
  waiting.get(name)?.resolve(packed);
};

function load(name) {
  const content = loaded.get(name) ?? unpack(name);
  content.catch(() => loaded.delete(name)); // so that the next call tries again
  loaded.delete(name);
  loaded.set(name, content);
  for (const old of [...loaded.keys()].slice(0, -MAX_LOADED)) loaded.delete(old);
  return content;
}

async function unpack(name) {
  const packed = await new Promise((resolve, reject) => {
    waiting.set(name, { resolve, reject });
    const script = document.createElement("script");
    const onEnd = () => {
      script.remove();
      reject(new Error(`data/${name}.js is missing or damaged; build the page again`));
    };
    script.onload = onEnd; // by now it has passed on its content, or never will
    script.onerror = onEnd;
    script.src = addresses ? addresses.createScriptURL(name) : `data/${name}.js`;
    document.head.append(script);
  });
  waiting.delete(name);
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

/** Returns a trace by its location [file, place in the file]. */
async function trace([file, place]) {
  return (await load(String(file)))[place];
}

/** Reads the index and returns a record for each pair. */
async function readIndex() {
  const { about, problems, columns } = await load("index");
  loaded.delete("index");
  const pairs = columns.pair_id.map((pair_id, at) => {
    const pair = Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[at]]));
    pair.problem = problems[pair.problem];
    pair.length_difference = pair.chosen_length - pair.rejected_length;
    pair.outcomes = `${pair.chosen_outcome} > ${pair.rejected_outcome}`;
    const turns = pair.problem.history.map(({ content }) => content);
    pair.searchText = [pair_id, ...turns, pair.problem.statement].join("\n").toLowerCase();
    return pair;
  });
  return { about, pairs };
}
