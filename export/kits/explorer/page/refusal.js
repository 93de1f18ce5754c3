// Says why nothing happens where no module can run. A classic script: browsers load no modules from file:// pages.
"use strict";
(function () {
  var reason = "";
  if (location.protocol === "file:") {
    reason = "Browsers run such a page from a server only. In this folder, run “python -m http.server”, " +
      "then open http://localhost:8000.";
  } else if (typeof WebAssembly !== "object") {
    reason = "This browser has no WebAssembly (or it is switched off), which the model runs in.";
  } else if (!HTMLScriptElement.supports || !HTMLScriptElement.supports("importmap")) {
    reason = "This browser is too old for the page: it needs import maps (2023 and later).";
  }
  if (reason) {
    var notice = document.getElementById("notice");
    notice.textContent = reason;
    notice.className = "problem";
    window.refused = true;
  }
})();
