// What the pages of all models do: take files, give files, and say what went wrong.

const notice = document.getElementById("notice");

/** Calls `dropped(files, target)` for files that are dropped anywhere on the page. */
export function dropping(dropped) {
  const mark = (on) => document.body.classList.toggle("dropping", on);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget || mark(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (event.dataTransfer.files.length) dropped(event.dataTransfer.files, event.target);
  });
}

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** The same function, whose failures are shown in the page. */
export function guarded(action) {
  return async (...values) => {
    try {
      return await action(...values);
    } catch (error) {
      problem(error);
    }
  };
}

export function problem(error) {
  notice.textContent = error.message;
  notice.className = "problem";
  notice.hidden = false;
}
