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
