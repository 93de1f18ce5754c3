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
    this.network.labels.fill(0);
    this.network.labels[index] = 1;
    for (const [place, button] of this.buttons.entries()) button.setAttribute("aria-pressed", String(place === index));
  }

  /** The class of a picture of the sheet, where the model knows it. */
  follow(picture) {
    const { labels, label_names: names } = this.data.pictures;
    const index = labels ? this.data.labels.indexOf(names[labels[picture]]) : -1;
    if (index >= 0) this.choose(index);
  }
}
