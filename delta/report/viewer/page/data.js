"use strict";
// The data files: scripts that pass on compressed JSON, because a page on file:// may not fetch.

const MAX_LOADED = 12; // data files in memory
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

/** Returns a record by its location [file, place in the file]. */
async function record([file, place]) {
  return (await load(String(file)))[place];
}

/** Reads the index and forgets its text. */
async function readIndex() {
  const index = await load("index");
  loaded.delete("index");
  return index;
}

/** Returns columns {name: values} as a list of records. */
function rows(columns) {
  const entries = Object.entries(columns);
  return entries[0][1].map((_, at) =>
    Object.fromEntries(entries.map(([name, values]) => [name, values[at]])),
  );
}
