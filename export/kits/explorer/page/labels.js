// The label of what is drawn: a button for each class of a conditional model.

export class Labels {
  constructor(data, network, code) {
    Object.assign(this, { data, network, code });
    const place = document.getElementById("labels");
    place.hidden = !data.labels.length;
    this.buttons = data.labels.map((name, index) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      button.addEventListener("click", () => {
        this.choose(index);
        this.code.changed({ text: `the same code as ${name}` });
      });
      place.append(button);
      return button;
    });
    this.choose(0);
  }

  /** What is decoded from here on is of this class. */
  choose(index) {
    if (!this.buttons.length) return;
    this.network.label = index;
    for (const [place, button] of this.buttons.entries()) button.setAttribute("aria-pressed", String(place === index));
  }

  /** A class by its name, where the model knows it. */
  follow(name) {
    const index = this.data.labels.indexOf(name);
    if (index >= 0) this.choose(index);
  }
}
