// One slider for each unit, the most active first, and a journey along one of them.

const FIRST = 10; // sliders that are shown at once
const PERIOD = 5000; // milliseconds there and back
const STEPS = 8, STEP = 900; // where motion is unwanted: so many still pictures, so many milliseconds each
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Units {
  constructor(data, code) {
    Object.assign(this, { data, code, rows: [] });
    const place = document.getElementById("units");
    const active = data.units.filter((unit) => unit.active).length;
    const first = Math.min(data.units.length, Math.max(3, Math.min(FIRST, active)));
    const what = code.spatial ? "channels" : "units";
    document.getElementById("units-hint").textContent =
      (data.units.length > active ? `${active} of ${data.units.length} ${what} are active. ` : "") +
      (code.spatial
        ? "A slider shifts its channel at every place of the picture’s code. Double-click: no shift."
        : "Double-click a slider to set it to its middle.");
    data.units.forEach((unit, rank) => place.append(this.row(unit, rank >= first)));
    this.offerMore(first, what);
    code.listeners.push(() => this.follow());
  }

  row(unit, hidden) {
    const row = document.createElement("div");
    row.className = "unit";
    row.hidden = hidden;
    const name = `${this.code.spatial ? "channel" : "unit"} ${unit.unit}`;
    const id = `unit-${unit.unit}`;
    const label = Object.assign(document.createElement("label"), { htmlFor: id, textContent: name });
    const most = this.data.units[0].deviation || 1;
    const bar = Object.assign(document.createElement("i"), { title: `standard deviation ${unit.deviation.toFixed(2)}` });
    bar.style.setProperty("--share", unit.deviation / most);
    label.append(bar);
    const step = (unit.high - unit.low) / 400;
    const slider = Object.assign(document.createElement("input"), { type: "range", id, min: unit.low, max: unit.high, step });
    slider.step = step;
    const output = Object.assign(document.createElement("output"), { htmlFor: id });
    const play = Object.assign(document.createElement("button"), { type: "button", className: "play", title: "Travel along this unit" });
    play.setAttribute("aria-label", `Play ${name}`);
    play.setAttribute("aria-pressed", "false");
    slider.addEventListener("input", () => {
      this.stop();
      this.code.set(unit.unit, slider.valueAsNumber, { text: `${name} moved` });
    });
    slider.addEventListener("dblclick", () => this.code.set(unit.unit, unit.centre, { text: `${name} in the middle` }));
    play.addEventListener("click", () => (this.playing?.unit === unit ? this.stop() : this.play(unit, play, name)));
    row.append(label, slider, output, play);
    this.rows.push({ unit, slider, output });
    return row;
  }

  offerMore(first, what) {
    const more = document.getElementById("more");
    const rest = this.rows.slice(first);
    if (!rest.length) return;
    const tell = (open) => (more.textContent = open ? "Show fewer" : `Show all ${this.rows.length} ${what}`);
    more.hidden = false;
    tell(false);
    more.addEventListener("click", () => {
      const open = rest[0].slider.parentElement.hidden;
      for (const { slider } of rest) slider.parentElement.hidden = !open;
      tell(open);
    });
  }

  follow() {
    for (const { unit, slider, output } of this.rows) {
      const value = this.code.value(unit.unit);
      slider.value = value;
      output.textContent = value.toFixed(2);
      // The filled part of the track, which CSS cannot compute.
      slider.style.setProperty("--filled", `${(100 * (slider.valueAsNumber - unit.low)) / (unit.high - unit.low)}%`);
    }
  }

  play(unit, button, name) {
    this.stop();
    button.setAttribute("aria-pressed", "true");
    const middle = (unit.low + unit.high) / 2, radius = (unit.high - unit.low) / 2;
    const at = Math.min(1, Math.max(-1, (this.code.value(unit.unit) - middle) / radius));
    const began = performance.now() - (Math.asin(at) / (2 * Math.PI)) * PERIOD; // it sets out from where it is
    const go = (share) => this.code.set(unit.unit, middle + radius * Math.sin(2 * Math.PI * share), { text: `along ${name}` });
    const playing = (this.playing = { unit, button });
    if (calm.matches) {
      let step = Math.round((Math.asin(at) / (2 * Math.PI)) * STEPS);
      playing.timer = setInterval(() => go(++step / STEPS), STEP);
      return;
    }
    const frame = (now) => {
      go((now - began) / PERIOD);
      playing.frame = requestAnimationFrame(frame);
    };
    playing.frame = requestAnimationFrame(frame);
  }

  stop() {
    if (!this.playing) return;
    cancelAnimationFrame(this.playing.frame);
    clearInterval(this.playing.timer);
    this.playing.button.setAttribute("aria-pressed", "false");
    this.playing = null;
  }
}
