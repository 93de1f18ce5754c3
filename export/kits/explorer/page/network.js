// The model: encoder.tflite and decoder.tflite, run by LiteRT.js on the processor.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

/** Models of this folder, by their names, compiled for the processor. Throws an Error whose message is for a person. */
export async function compiled(...names) {
  // The runtime reports its delegates on the error stream; what it says belongs in no reader's console.
  const said = [];
  self.Module = { print: () => {}, printErr: (line) => said.push(line) };
  // It would also wake the fastest graphics card, which the models of this page do not use, and warn where there is none.
  const adapter = { limits: {}, features: new Set(), requestDevice: async () => null };
  Object.defineProperty(navigator, "gpu", { configurable: true, value: { requestAdapter: async () => adapter } });
  const contents = await Promise.all(names.map(bytes)), models = [];
  try {
    await loadLiteRt(new URL("litert/wasm/", document.baseURI).href);
    // One after the other: the runtime's heap is one, and models are compiled into it.
    for (const content of contents) models.push(await loadAndCompile(content, { accelerator: "wasm" }));
    return models;
  } catch (error) {
    throw new Error(`LiteRT.js did not start: ${error?.message ?? error}. ${said.at(-1) ?? ""}`, { cause: error });
  } finally {
    delete navigator.gpu;
  }
}

export class Network {
  /** `data` is data.json. Throws an Error whose message is for a person. */
  static async open(data) {
    return new Network(data, ...(await compiled("encoder.tflite", "decoder.tflite")));
  }

  constructor(data, encoder, decoder) {
    const { height, width, channels } = data.image;
    this.parts = {
      encode: { model: encoder, input: "image", shape: [1, height, width, channels], output: data.code_output },
      decode: { model: decoder, input: "z", shape: [1, ...data.latent], output: "image" },
    };
    this.names = data.labels; // of the classes of a conditional model
    this.label = 0; // place of the one that is drawn
    this.milliseconds = 0;
    this.last = Promise.resolve();
  }

  /** Code (Float32Array) of pixels in [0, 1] (Float32Array, rows from the top, channels last) of a class, by its name. */
  encode(pixels, label) {
    const place = this.names.indexOf(label);
    return this.run("encode", pixels, place < 0 ? this.label : place);
  }

  /** Pixels in [0, 1] of a code; of a spatial code their height and width are multiples of the model's factor. */
  decode(code) {
    return this.run("decode", code, this.label);
  }

  run(name, values, label) {
    // Calls take turns, in the order in which they were made.
    const result = this.last.then(() => this.runNow(name, values, label));
    this.last = result.catch(() => {});
    return result;
  }

  async runNow(name, values, label) {
    const { model, input, shape, output } = this.parts[name];
    const began = performance.now();
    const inputs = { [input]: new Tensor(Float32Array.from(values), shape) };
    if (this.names.length) {
      const weights = Float32Array.from(this.names, (_, place) => Number(place === label));
      inputs.labels = new Tensor(weights, [1, weights.length]);
    }
    const outputs = await model.run(inputs);
    const result = Float32Array.from(outputs[output].toTypedArray());
    // Tensors live on the heap of the WebAssembly module, where no garbage is collected.
    for (const each of [...Object.values(inputs), ...Object.values(outputs)]) each.delete();
    if (name === "decode") this.milliseconds = performance.now() - began;
    return result;
  }
}

async function bytes(name) {
  return new Uint8Array(await (await fetched(name)).arrayBuffer());
}

/** The response to a request for a file of this folder. Throws where the file is missing. */
export async function fetched(name) {
  let answer;
  try {
    answer = await fetch(name);
  } catch {
    throw new Error(`${name} could not be loaded: the server does not answer.`);
  }
  if (!answer.ok) throw new Error(`${name} is missing beside this page (${answer.status} ${answer.statusText}).`);
  return answer;
}
