// Small comforts; every page works without them.
"use strict";

// "/" goes to the search field.
document.addEventListener("keydown", (event) => {
  const search = document.querySelector("input[type=search]");
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "/" && search && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});

// A changed filter applies at once; forms that change something wait for their button.
for (const select of document.querySelectorAll("form.filters[role=search] select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

// Commands to run elsewhere can be copied by a button.
for (const command of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = "Copied";
  });
  command.after(button);
}

// What an editor's draft means and would change is looked at while it is filled in.
for (const form of document.querySelectorAll("form[data-live]")) {
  let waiting, asked;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      asked?.abort();
      asked = new AbortController();
      const fields = new URLSearchParams(new FormData(form));
      fields.set("choice", "preview");
      try {
        const answer = await fetch(form.action, { method: "POST", body: fields, signal: asked.signal });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const shown = document.getElementById(form.dataset.live);
        const found = page.getElementById(form.dataset.live);
        if (shown && found) shown.replaceWith(found);
      } catch (error) {
        if (error.name !== "AbortError") throw error;
      }
    }, 400);
  });
}

// What is going on is looked at again until it has ended.
if (document.querySelector("[data-refresh]")) setTimeout(() => location.reload(), 2000);
