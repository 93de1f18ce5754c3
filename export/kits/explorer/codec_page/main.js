// Opens compressed pictures. In the console, `await explorer.show(content, name)` opens the bytes of a file.

import { compiled, fetched } from "./network.js";
import { download, dropping, guarded, problem } from "./shared.js";
import { Synthesis } from "./synthesis.js";
import { readModel } from "./tfv.js";

const get = (id) => document.getElementById(id);
const MOST_SIDE = 16_384; // of a canvas

/** Reads files one after the other, in a worker. */
class Files {
  constructor(buffer) {
    this.worker = new Worker("reader.js", { type: "module" });
    this.worker.postMessage({ buffer });
  }

  read(content) {
    return new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => (data.problem ? reject(new Error(data.problem)) : resolve(data));
      this.worker.onerror = () => reject(new Error("reader.js did not start."));
      this.worker.postMessage({ content }, [content]);
    });
  }
}

async function open() {
  const data = await (await fetched("data.json")).json();
  introduce(data);
  const buffer = await (await fetched("tfv.bin")).arrayBuffer(), files = new Files(buffer);
  const [decoder] = await compiled("decoder.tflite");
  const synthesis = new Synthesis(decoder, readModel(buffer), data.places);
  let last = Promise.resolve();

  /** Opens the bytes (ArrayBuffer) of a file; files take turns. Returns its header and the pixels, RGBA. */
  const show = (content, name) => {
    const shown = last.then(() => showNow(content, name));
    last = shown.catch(() => {});
    return shown;
  };
  const showNow = async (content, name) => {
    const began = performance.now(), size = content.byteLength, before = get("caption").textContent;
    try {
      get("caption").textContent = `${name}: reading …`;
      const found = await files.read(content), { header } = found;
      if (Math.max(header.width, header.height) > MOST_SIDE) {
        throw new Error(`of ${header.width}×${header.height} pixels, and a page shows ${MOST_SIDE} a side at most`);
      }
      const pixels = await synthesis.picture(found, (done, all) => {
        get("caption").textContent = `${name}: tile ${done + 1} of ${all}`;
      });
      paint(pixels, header);
      get("notice").hidden = true;
      get("save").disabled = false;
      tell(name, size, header, performance.now() - began);
      return { header, pixels };
    } catch (error) {
      get("caption").textContent = before;
      throw new Error(`${name}: ${error.message}`, { cause: error });
    }
  };

  const accept = async (chosen) => {
    for (const file of chosen) await guarded(async () => show(await file.arrayBuffer(), file.name))();
  };
  const input = document.querySelector(".open input");
  input.addEventListener("change", () => accept(input.files));
  dropping(accept);
  get("save").addEventListener("click", () => {
    const name = get("caption").dataset.name.replace(/\.tfv$/i, "");
    get("picture").toBlob((blob) => download(blob, `${name}.png`), "image/png");
  });
  get("notice").hidden = true;
  get("explorer").hidden = false;
  await show(await (await fetched(data.example)).arrayBuffer(), data.example);
  return Object.assign(explorer, { data, show });
}

function introduce(data) {
  get("name").textContent = data.name;
  document.title = `${data.name} · compressed pictures`;
  const kind = data.channels > 1 ? "colour" : "grey";
  get("about").textContent = `Opens the .tfv files that this codec of ${kind} pictures wrote.`;
  get("footer").textContent =
    `Entropy decoding in JavaScript, and ${data.weights.toLocaleString("en")} weights run by LiteRT.js, ` +
    "in this page; nothing leaves it. Colour profiles are not applied.";
}

function paint(pixels, { width, height }) {
  const canvas = get("picture");
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  canvas.classList.toggle("crisp", Math.max(width, height) <= 128);
}

function tell(name, size, { width, height, quality, coder }, milliseconds) {
  const bits = (8 * size) / (width * height);
  get("caption").dataset.name = name;
  get("caption").textContent =
    `${name}: ${width}×${height}, quality ${quality}, ${size.toLocaleString("en")} bytes (${coder}), ` +
    `${bits.toPrecision(3)} bits a pixel`;
  get("cost").textContent = `${(milliseconds / 1000).toPrecision(2)} s`;
}

globalThis.explorer = { ready: window.refused ? null : open().catch(problem) };
