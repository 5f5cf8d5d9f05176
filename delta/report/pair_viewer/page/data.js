"use strict";
// The data beside the page: scripts that hand over compressed JSON, since a page of file:// may
// not fetch anything.

const KEPT = 12; // files of traces that are kept in memory
const waiting = new Map(); // name → {resolve, reject}
const loaded = new Map(); // name → promise of its content, the last used last

// Browsers that know trusted types let a page make addresses of scripts in this one place only.
const addresses = window.trustedTypes?.createPolicy("data", {
  createScriptURL: (name) => `data/${/^(index|[0-9]+)$/.exec(name)[0]}.js`,
});

/** Called by every data file with its name and its content. */
window.receive = (name, packed) => {
  waiting.get(name)?.resolve(packed);
};

function load(name) {
  const known = loaded.get(name) ?? unpacked(name);
  known.catch(() => loaded.delete(name)); // so that it can be asked for again
  loaded.delete(name);
  loaded.set(name, known);
  for (const old of [...loaded.keys()].slice(0, -KEPT)) loaded.delete(old);
  return known;
}

async function unpacked(name) {
  const packed = await new Promise((resolve, reject) => {
    waiting.set(name, { resolve, reject });
    const script = document.createElement("script");
    const lost = () => {
      script.remove();
      reject(new Error(`data/${name}.js is missing or damaged; build the page again`));
    };
    script.onload = lost; // by then it has handed its content over, or never will
    script.onerror = lost;
    script.src = addresses ? addresses.createScriptURL(name) : `data/${name}.js`;
    document.head.append(script);
  });
  waiting.delete(name);
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

/** A trace by its place [file, number in it]. */
async function trace([file, number]) {
  return (await load(String(file)))[number];
}

/** The index as one record a pair. */
async function readIndex() {
  const { about, problems, columns } = await load("index");
  loaded.delete("index");
  const pairs = columns.pair_id.map((pair_id, at) => {
    const pair = Object.fromEntries(Object.entries(columns).map(([name, all]) => [name, all[at]]));
    pair.problem = problems[pair.problem];
    pair.length_difference = pair.chosen_length - pair.rejected_length;
    pair.outcomes = `${pair.chosen_outcome} > ${pair.rejected_outcome}`;
    const turns = pair.problem.history.map(({ content }) => content);
    pair.searched = [pair_id, ...turns, pair.problem.statement].join("\n").toLowerCase();
    return pair;
  });
  return { about, pairs };
}
