// A worker that reads files, so that the page goes on meanwhile: {buffer} of tfv.bin once, then {content} of each file.

import { alphaOf, codeOf, decode, readModel, UnreadableError } from "./tfv.js";

let model;

addEventListener("message", async ({ data: { buffer, content } }) => {
  if (buffer) {
    model = readModel(buffer);
    return;
  }
  try {
    const { header, rows, columns, parts } = decode(new Uint8Array(content), model);
    const alpha = await alphaOf(header), codes = parts.map(codeOf);
    const { coder, height, width, channels, quality } = header, told = { coder, height, width, channels, quality };
    postMessage({ header: told, rows, columns, codes, alpha }, codes.map((code) => code.buffer));
  } catch (error) {
    const known = error instanceof UnreadableError;
    postMessage({ problem: known ? error.message : `cannot be read in this page (${error.message})` });
  }
});
