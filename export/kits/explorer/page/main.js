// Opens the model and wires the page. In the console, `explorer.decode([…])` and `explorer.encode([…])` run it by hand.

import { Blend } from "./blend.js";
import { Code, linear, normal } from "./code.js";
import { Map2D } from "./map.js";
import { Labels } from "./labels.js";
import { fetched, Network } from "./network.js";
import { readFile, Sheet, strip } from "./pictures.js";
import { dropping, guarded, problem } from "./shared.js";
import { Stage } from "./stage.js";
import { tabs } from "./tabs.js";
import { Units } from "./units.js";

const get = (id) => document.getElementById(id);
const notice = get("notice");
const STRIP = 24; // pictures offered to start from

async function open() {
  const data = await (await fetched("data.json")).json();
  introduce(data);
  const [network, sheet] = await Promise.all([Network.open(data), Sheet.open(data)]);
  const code = new Code(data);
  const labels = new Labels(data, network, code);
  const stage = new Stage(data, network, code);
  const units = new Units(data, code);
  const map = new Map2D(data, sheet, code, network);
  const blend = new Blend(data, code, network);
  let tab = "units";

  const still = () => {
    units.stop();
    stage.halt();
  };
  map.onleave = blend.onleave = still;
  const start = async (pixels, title, shown = true) => {
    still();
    const to = await network.encode(pixels);
    stage.glide(to, { text: `reconstruction of ${title}`, original: shown ? pixels : null });
  };
  const startFrom = (index) => {
    labels.follow(sheet.label(index));
    return start(sheet.pixels(index), sheet.title(index));
  };

  const surprise = async () => {
    still();
    if (data.draws.length) {
      const drawn = data.draws[Math.floor(Math.random() * data.draws.length)];
      return stage.glide(Float32Array.from(drawn), { text: "a draw from the prior" });
    }
    if (data.prior && !code.spatial) {
      return stage.glide(Float32Array.from({ length: code.size }, normal), { text: "a draw from the prior" });
    }
    const [one, other] = [0, 1].map(() => Math.floor(Math.random() * sheet.count));
    if (code.spatial) return startFrom(one);
    // Without a prior, a place between two codes is the likeliest to be a picture.
    const ends = await Promise.all([one, other].map((index) => sheet.code(index, network)));
    const text = `between ${sheet.title(one)} and ${sheet.title(other)}`;
    stage.glide(linear(...ends, 0.3 + 0.4 * Math.random()), { text });
  };

  const reset = () => {
    still();
    if (code.spatial) return stage.glide(code.base.slice(), { text: "the picture itself" });
    const centre = new Float32Array(code.size);
    for (const unit of data.units) centre[unit.unit] = unit.centre;
    stage.glide(centre, { text: data.prior ? "the middle of the prior" : "the mean of the codes" });
  };

  const accept = guarded(async (files, end) => {
    for (const file of [...files].slice(0, 2)) {
      const pixels = await readFile(file, data);
      notice.hidden = true;
      if (tab === "blend" || end !== undefined) {
        await blend.take(pixels, file.name, end);
        end = undefined;
        blend.show();
      } else {
        await start(pixels, file.name);
      }
    }
  });

  strip(get("start"), sheet, STRIP, guarded(startFrom));
  get("start").prepend(opener((files) => accept(files)));
  strip(get("ends"), sheet, STRIP, guarded(async (index) => {
    await blend.take(sheet.pixels(index), sheet.title(index), undefined, sheet.label(index));
    blend.show();
  }));
  blend.slots.forEach(({ element }, end) => {
    const input = element.querySelector("input");
    input.addEventListener("change", () => accept(input.files, end));
  });
  dropping((files, target) => {
    const end = blend.slots.findIndex(({ element }) => element.contains(target));
    accept(files, end < 0 ? undefined : end);
  });
  get("surprise").addEventListener("click", guarded(surprise));
  get("reset").addEventListener("click", reset);
  get("save").addEventListener("click", guarded(() => stage.save()));
  get("copy").addEventListener("click", guarded(async () => (get("caption").textContent = await stage.copy())));
  tabs(document.querySelector("[role=tablist]"), (name) => {
    tab = name;
    if (name === "map") map.draw();
    if (name === "blend" && blend.complete) blend.show();
  });

  notice.hidden = true;
  get("explorer").hidden = false;
  // Two pictures that differ, so that there is something to look at before anything is dropped.
  const other = differing(data.pictures);
  await blend.take(sheet.pixels(0), sheet.title(0), 0, sheet.label(0));
  await blend.take(sheet.pixels(other), sheet.title(other), 1, sheet.label(other));
  const first = await sheet.code(0, network);
  labels.follow(sheet.label(0));
  code.load(first, { text: `reconstruction of ${sheet.title(0)}`, original: sheet.pixels(0) });
  blend.share.style.setProperty("--filled", "50%");
  await stage.shown;
  return Object.assign(explorer, {
    data, code, stage, sheet, map, labels,
    decode: (z) => network.decode(z),
    encode: (pixels, label) => network.encode(pixels, label),
    read: (file) => readFile(file, data),
  });
}

function introduce(data) {
  const { height, width, channels } = data.image;
  const active = data.units.filter((unit) => unit.active).length;
  const spatial = data.latent.length > 1;
  const latent = spatial ? `a map of ${data.latent.join("×")}` : `${data.latent[0]} numbers, ${active === data.latent[0] ? "all" : `${active} of them`} active`;
  get("name").textContent = data.name;
  document.title = `${data.name} · explorer`;
  get("about").textContent =
    `A ${data.kind} of ${height}×${width} ${channels > 1 ? "colour" : "grey"} pictures: ${latent}.`;
  const notes = [
    `${data.weights.toLocaleString("en")} weights, run in this page by LiteRT.js; nothing leaves it.`,
    `A picture of yours is ${data.fit === "crop" ? "scaled and cut" : "stretched"} to ${height}×${width}` +
      `${channels === 1 ? " and turned into ITU-R 601 luminance" : ""}${spatial ? "" : ", as in training"}.`,
  ];
  if (data.not_applied.length) notes.push(`Not applied here: the ${data.not_applied.join(" and ")} of the training data.`);
  get("footer").textContent = notes.join(" ");
}

/** The first picture of another class than picture 0, or else the one in the middle of the sheet. */
function differing({ labels, count }) {
  const other = labels ? labels.findIndex((label) => label >= 0 && label !== labels[0]) : -1;
  return other > 0 ? other : Math.floor(count / 2);
}

function opener(opened) {
  const label = Object.assign(document.createElement("label"), { className: "open", title: "Open a picture of yours" });
  const input = Object.assign(document.createElement("input"), { type: "file", accept: "image/*" });
  input.setAttribute("aria-label", "Open a picture");
  input.addEventListener("change", () => opened(input.files));
  label.append(input, "open or drop");
  return label;
}

globalThis.explorer = { ready: window.refused ? null : open().catch(problem) };
