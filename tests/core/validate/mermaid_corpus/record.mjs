// Records in the corpus what Mermaid's own parser says of each diagram.
//
// In any folder: `npm install mermaid`, then `node …/mermaid_corpus/record.mjs …/mermaid_corpus/*.jsonl`.
// Each line is one object {"name", "valid", "diagram"}; `valid` is written anew and every change is told.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const installed = (file) => import(pathToFileURL(path.resolve("node_modules", file)).href);
const { default: purifier } = await installed("dompurify/dist/purify.es.mjs");
// Without a browser there is nothing to clean texts with, and a text says nothing about the grammar.
purifier.addHook = () => {};
purifier.sanitize = (text) => text;
const { default: mermaid } = await installed("mermaid/dist/mermaid.core.mjs");
// `box` asks the browser whether its first word is a colour, `details` asks for an element: neither is grammar.
globalThis.CSS = { supports: () => false };
globalThis.window = { CSS: globalThis.CSS };
globalThis.document = { getElementById: () => null };

const accepts = async (diagram) => {
  try {
    await mermaid.parse(diagram);
    return true;
  } catch {
    return false;
  }
};

console.warn = console.error = () => {};
for (const file of process.argv.slice(2)) {
  const entries = fs.readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
  let valid = 0;
  for (const entry of entries) {
    const said = await accepts(entry.diagram);
    if (said !== entry.valid) console.log(`${path.basename(file)}: ${entry.name}: ${entry.valid} -> ${said}`);
    entry.valid = said;
    valid += said;
  }
  const line = ({ name, valid, diagram }) => JSON.stringify({ name, valid, diagram }) + "\n";
  fs.writeFileSync(file, entries.map(line).join(""));
  console.log(`${path.basename(file)}: ${entries.length} diagrams, ${valid} of them valid`);
}
